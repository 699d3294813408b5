-- One schedule, to compute with. $1 id. Result: its columns, and PostgreSQL's clock.
SELECT s.*, clock_timestamp() AS clock FROM schedules s WHERE s.id = $1::uuid
