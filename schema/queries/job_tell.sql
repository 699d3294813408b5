-- Gives workers and producers a hint after what it is about has been committed; the channel is the schema's name.
-- $1 "cancel <job id>", "ready <queue>" or "pending". Result: nothing of use.
SELECT pg_notify(current_schema()::text, $1::text)
