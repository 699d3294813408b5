-- Waiting jobs whose start_by has passed, locked.
-- $1 at most so many
-- Result: job id.
SELECT job_id
  FROM pending_jobs
 WHERE start_by < (SELECT clock_timestamp()) AND state <> 'held'
 ORDER BY start_by
 LIMIT $1::integer
   FOR UPDATE SKIP LOCKED
