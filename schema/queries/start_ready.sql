-- Starts waiting jobs of one queue by priority, then age; not those that somebody wants cancelled.
-- $1 worker id, $2 the worker's count of the batch, $3 queue, $4 types with free slots, $5 how many of each,
-- $6 how many in all.
-- Result: the jobs started.
WITH picked AS MATERIALIZED (
    SELECT r.job_id
    FROM unnest($4::text[], $5::int[]) AS t (type, free)
    CROSS JOIN LATERAL (
        SELECT w.job_id, w.priority, w.visible_at
        FROM generate_series(9, 0, -1) AS level (priority)
        CROSS JOIN LATERAL (
            SELECT p.job_id, p.priority, p.visible_at
            FROM pending_jobs p
            WHERE p.state = 'ready' AND p.queue = $3::text AND p.type = t.type AND p.priority = level.priority
                AND p.visible_at <= statement_timestamp()
                AND (p.start_by IS NULL OR p.start_by > statement_timestamp())
            ORDER BY p.visible_at, p.seq
            LIMIT t.free
            FOR UPDATE SKIP LOCKED
        ) w
        LIMIT t.free
    ) r
    ORDER BY r.priority DESC, r.visible_at
    LIMIT $6::int
), gone AS (
    DELETE FROM pending_jobs
    WHERE job_id = ANY (ARRAY(SELECT job_id FROM picked))
        AND job_id <> ALL (ARRAY(SELECT c.id FROM jobs c
                                 WHERE c.cancel_requested IS NOT NULL
                                     AND c.id >= (SELECT job_id FROM picked ORDER BY job_id LIMIT 1)
                                     AND c.id <= (SELECT job_id FROM picked ORDER BY job_id DESC LIMIT 1)))
    RETURNING job_id
), claimed AS (
    INSERT INTO claims (worker_id, seq, job_ids)
    SELECT $1::uuid, $2::bigint, array_agg(job_id) FROM gone HAVING count(*) > 0
)
UPDATE jobs j
SET status = 'running', attempt = attempt + 1, worker_id = $1::uuid, started_at = statement_timestamp(),
    updated_at = statement_timestamp()
WHERE j.id = ANY (ARRAY(SELECT job_id FROM gone))
    AND j.id >= (SELECT job_id FROM gone ORDER BY job_id LIMIT 1)
    AND j.id <= (SELECT job_id FROM gone ORDER BY job_id DESC LIMIT 1)
    AND j.status = 'pending'
RETURNING j.id, j.external_id, j.project, j.type, j.queue, j.profile, j.params, j.metadata, j.ordering_key,
    j.trace_context, j.submitted_by, j.priority, j.attempt, j.max_attempts, j.timeout_s, j.schedule_id, j.due_at,
    j.run_at
