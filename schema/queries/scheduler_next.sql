-- When the next schedule is due.
-- $1 ids to leave out
-- Result: next instant that is to run (null: none), clock (PostgreSQL's), next instant that a calendar leaves out.
SELECT (SELECT s.next_run_at FROM schedules s
         WHERE s.enabled AND NOT s.paused AND s.next_run_at IS NOT NULL AND s.id <> ALL ($1::uuid[])
         ORDER BY s.next_run_at LIMIT 1) AS next,
       clock_timestamp() AS clock,
       (SELECT s.next_skip_at FROM schedules s
         WHERE s.enabled AND NOT s.paused AND s.next_skip_at IS NOT NULL AND s.id <> ALL ($1::uuid[])
         ORDER BY s.next_skip_at LIMIT 1) AS next_closed
