-- When the next schedule is due (null: none).
-- $1 ids to leave out
-- Result: next, clock (PostgreSQL's).
SELECT (SELECT s.next_run_at FROM schedules s
         WHERE s.enabled AND NOT s.paused AND s.next_run_at IS NOT NULL AND s.id <> ALL ($1::uuid[])
         ORDER BY s.next_run_at LIMIT 1) AS next,
       clock_timestamp() AS clock
