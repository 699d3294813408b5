-- Notes that a schedule was run by hand. $1 id, $2 when, $3 job, $4 id of the request, or null
WITH named AS (
    UPDATE jobs SET request_id = $4::text WHERE id = $3::uuid AND $4::text IS NOT NULL
)
UPDATE schedules SET last_run_at = greatest(last_run_at, $2), last_job_id = $3::uuid WHERE id = $1
