-- Takes over jobs that the relay published and that have a slot here; not those that somebody wants
-- cancelled.
-- $1 worker id, $2 job ids, sorted, $3 smallest, $4 largest of them.
-- Result: the jobs, as start_ready gives them.
WITH taken AS (
    DELETE FROM pending_jobs
    WHERE job_id = ANY ($2::uuid[]) AND state IN ('unpublished', 'published') AND lock_name IS NULL
        AND (start_by IS NULL OR start_by > statement_timestamp())
        AND job_id <> ALL (ARRAY(SELECT c.id FROM jobs c
                                 WHERE c.cancel_requested IS NOT NULL AND c.id >= $3::uuid AND c.id <= $4::uuid))
    RETURNING job_id
)
UPDATE jobs j
SET status = 'running', attempt = attempt + 1, worker_id = $1::uuid, started_at = statement_timestamp(),
    updated_at = statement_timestamp()
WHERE j.id = ANY (ARRAY(SELECT job_id FROM taken)) AND j.id >= $3::uuid AND j.id <= $4::uuid
    AND j.status = 'pending'
RETURNING j.id, j.external_id, j.project, j.type, j.queue, j.profile, j.params, j.metadata, j.ordering_key,
    j.trace_context, j.submitted_by, j.priority, j.attempt, j.max_attempts, j.timeout_s, j.schedule_id, j.due_at,
    j.run_at, j.lock_token, j.exclusive
