-- How many schedules there are that will fire.
SELECT count(*) FROM schedules WHERE enabled AND NOT paused AND next_run_at IS NOT NULL
