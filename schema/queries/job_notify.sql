-- After a submission has committed: wakes relays, and workers, since a job that needs a lock waits for them; the
-- channel is the schema's name. Result: nothing of use.
SELECT pg_notify(current_schema()::text, 'pending'), pg_notify(current_schema()::text, 'ready')
