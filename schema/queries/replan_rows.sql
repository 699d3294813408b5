-- Schedules that are locked, to compute with. $1 ids. Result: their columns, and PostgreSQL's clock.
SELECT s.*, clock_timestamp() AS clock FROM schedules s WHERE s.id = ANY ($1::uuid[]) ORDER BY s.id
