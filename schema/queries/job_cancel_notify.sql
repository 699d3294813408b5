-- Tells workers that jobs are to be stopped, once that has been committed; the channel is the schema's name.
-- $1 job id. Result: nothing of use.
SELECT pg_notify(current_schema()::text, 'cancel ' || $1::uuid)
