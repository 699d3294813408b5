-- Notes that a schedule was run by hand. $1 id, $2 when, $3 job, $4 id of the request, or null
-- The job that was the last may be unfinished still: then it stays in mind.
WITH named AS (
    UPDATE jobs SET request_id = $4::text WHERE id = $3::uuid AND $4::text IS NOT NULL
), displaced AS (
    INSERT INTO open_jobs (schedule_id, job_id)
    SELECT s.id, s.last_job_id
      FROM schedules s
     WHERE s.id = $1 AND s.overlap = 'skip'
       AND EXISTS (SELECT FROM jobs j WHERE j.id = s.last_job_id AND j.status IN ('pending', 'running'))
    ON CONFLICT (schedule_id, job_id) DO NOTHING
)
UPDATE schedules SET last_run_at = greatest(last_run_at, $2), last_job_id = $3::uuid WHERE id = $1
