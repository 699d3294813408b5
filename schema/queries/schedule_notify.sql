-- Wakes schedulers after a change of schedules has committed. Result: nothing of use.
SELECT pg_notify(current_schema()::text, 'schedules')
