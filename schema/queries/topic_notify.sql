-- Tells workers to look at once whether a queue's topic is being made anew. Result: nothing of use.
SELECT pg_notify(current_schema()::text, 'topics')
