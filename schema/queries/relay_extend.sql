-- Keeps jobs whose records are still in flight from being taken by others.
-- $1 job ids  $2 seconds each
UPDATE pending_jobs p
   SET visible_at = clock_timestamp() + make_interval(secs => $2)
 WHERE p.job_id = ANY ($1::uuid[]) AND p.state = 'unpublished'
