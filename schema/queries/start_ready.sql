-- Starts waiting jobs of one queue by priority, then age; not those that somebody wants cancelled. Those that need a
-- lock take it, in the order of names; who cannot have it, or is not the first of its key, is looked at again in a
-- minute, or when who is before it ends.
-- $1 worker id, $2 the worker's count of the batch, $3 queue, $4 types with free slots, $5 how many of each,
-- $6 whether the type orders by key, $7 whether a failed job blocks its key, $8 how many in all, $9 whether jobs that
-- need a lock may start.
-- Result: the jobs started (one row of nulls if none was), and in each row how many rows were looked at and when to
-- look again at those whose wait is about to end.
WITH picked AS MATERIALIZED (
    SELECT r.job_id, r.seq, r.project, r.lock_name, r.ordered, r.blocks
    FROM unnest($4::text[], $5::int[], $6::bool[], $7::bool[]) AS t (type, free, ordered, blocks)
    CROSS JOIN LATERAL (
        SELECT w.*, t.blocks
        FROM generate_series(9, 0, -1) AS level (priority)
        CROSS JOIN LATERAL (
            SELECT p.job_id, p.seq, p.priority, p.visible_at, p.project, p.ordered,
                CASE WHEN t.ordered OR NOT p.ordered THEN p.lock_name END AS lock_name
            FROM pending_jobs p
            WHERE p.state = 'ready' AND p.queue = $3::text AND p.type = t.type AND p.priority = level.priority
                AND p.visible_at <= statement_timestamp()
                AND (p.start_by IS NULL OR p.start_by > statement_timestamp())
                AND ($9::bool OR p.lock_name IS NULL)
            ORDER BY p.visible_at, p.seq
            LIMIT t.free
            FOR UPDATE SKIP LOCKED
        ) w
        LIMIT t.free
    ) r
    ORDER BY r.priority DESC, r.visible_at, r.seq
    LIMIT $8::int
), wanted AS MATERIALIZED (
    SELECT * FROM picked
    WHERE job_id <> ALL (ARRAY(SELECT c.id FROM jobs c
                               WHERE c.cancel_requested IS NOT NULL
                                   AND c.id >= (SELECT job_id FROM picked ORDER BY job_id LIMIT 1)
                                   AND c.id <= (SELECT job_id FROM picked ORDER BY job_id DESC LIMIT 1)))
), tried AS MATERIALIZED (
    SELECT p.job_id, p.ordered AND p.blocks AS blocks, l.token, l.reason, l.again_at
    FROM (SELECT * FROM wanted WHERE lock_name IS NOT NULL ORDER BY project, lock_name, seq) p
    CROSS JOIN LATERAL start_lock(p.job_id, p.project, p.lock_name, p.ordered, p.seq) l
), asleep AS (
    UPDATE pending_jobs p
    SET visible_at = t.again_at, reason = t.reason
    FROM tried t
    WHERE p.job_id = t.job_id AND p.job_id = ANY (ARRAY(SELECT job_id FROM tried WHERE token IS NULL))
), held AS (
    UPDATE pending_jobs p
    SET state = 'held', reason = NULL, blocks = t.blocks
    FROM tried t
    WHERE p.job_id = t.job_id AND p.job_id = ANY (ARRAY(SELECT job_id FROM tried WHERE token IS NOT NULL))
    RETURNING p.job_id, t.token
), gone AS (
    DELETE FROM pending_jobs WHERE job_id = ANY (ARRAY(SELECT job_id FROM wanted WHERE lock_name IS NULL))
    RETURNING job_id
), going AS MATERIALIZED (
    SELECT job_id, NULL::bigint AS token FROM gone UNION ALL SELECT job_id, token FROM held
), claimed AS (
    INSERT INTO claims (worker_id, seq, job_ids)
    SELECT $1::uuid, $2::bigint, array_agg(job_id) FROM going HAVING count(*) > 0
), started AS (
    UPDATE jobs j
    SET status = 'running', attempt = attempt + 1, worker_id = $1::uuid, started_at = statement_timestamp(),
        updated_at = statement_timestamp(), lock_token = g.token
    FROM going g
    WHERE j.id = g.job_id AND j.id = ANY (ARRAY(SELECT job_id FROM going))
        AND j.id >= (SELECT job_id FROM going ORDER BY job_id LIMIT 1)
        AND j.id <= (SELECT job_id FROM going ORDER BY job_id DESC LIMIT 1)
        AND j.status = 'pending'
    RETURNING j.id, j.external_id, j.project, j.type, j.queue, j.profile, j.params, j.metadata, j.ordering_key,
        j.trace_context, j.submitted_by, j.priority, j.attempt, j.max_attempts, j.timeout_s, j.schedule_id, j.due_at,
        j.run_at, j.lock_token, j.exclusive
)
SELECT s.*, look.n, look.again_at
FROM (SELECT (SELECT count(*) FROM wanted) AS n,
          (SELECT min(again_at) FROM tried WHERE token IS NULL AND again_at < statement_timestamp() + interval '10 seconds')
              AS again_at) look
LEFT JOIN started s ON true
