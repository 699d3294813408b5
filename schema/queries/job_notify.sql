-- Wakes relays after a submission has committed; the channel is the schema's name. Result: nothing of use.
SELECT pg_notify(current_schema()::text, 'pending')
