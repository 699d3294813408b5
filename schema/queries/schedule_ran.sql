-- Notes that a schedule was run by hand. $1 id, $2 when, $3 job
UPDATE schedules SET last_run_at = greatest(last_run_at, $2), last_job_id = $3 WHERE id = $1
