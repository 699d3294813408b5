-- After a lost commit: what the batch had started all the same.
-- $1 worker id, $2 the worker's count of the batch.
-- Result: the jobs, as start_ready gives them; no row: the commit did not hold.
SELECT j.id, j.external_id, j.project, j.type, j.queue, j.profile, j.params, j.metadata, j.ordering_key,
    j.trace_context, j.submitted_by, j.priority, j.attempt, j.max_attempts, j.timeout_s, j.schedule_id, j.due_at,
    j.run_at, j.lock_token, j.exclusive
FROM jobs j
WHERE j.id = ANY (ARRAY(SELECT unnest(job_ids) FROM claims WHERE worker_id = $1::uuid AND seq = $2::bigint))
    AND j.status = 'running' AND j.worker_id = $1::uuid
