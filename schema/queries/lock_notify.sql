-- Tells workers that jobs of a queue may start; the channel is the schema's name. $1 queue. Result: nothing of use.
SELECT pg_notify(current_schema()::text, 'ready ' || $1::text)
