-- Accepts the records of a batch that make jobs: rows for those that are new, started at once where
-- there is a slot, waiting in pending_jobs where there is none.
-- $1 worker id, $2 queue,
-- of each job, sorted by id: $3 id, $4 external_id, $5 project, $6 type, $7 profile, $8 params,
--   $9 starts now, $10 max_attempts, $11 timeout_s, $12 priority, $13 ordering_key, $14 dedup_key,
--   $15 metadata, $16 trace_context, $17 run_at, $18 start_by, $19 why it waits, $20 callback_url, $21 depends_on,
--   $22 lock it must take (null: none), $23 whether that is for its place in its key, $24 place in the batch: by it
--   waiting jobs are queued,
-- of each searchable metadata value: $25 job id, $26 key, $27 value.
-- Result: id of each job that was new.
WITH given AS (
    SELECT * FROM unnest($3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::jsonb[], $9::bool[],
        $10::int[], $11::int[], $12::int2[], $13::text[], $14::text[], $15::jsonb[], $16::text[],
        $17::timestamptz[], $18::timestamptz[], $19::text[], $20::text[], $21::jsonb[], $22::text[], $23::bool[], $24::int[])
        AS g (id, external_id, project, type, profile, params, now, max_attempts, timeout_s, priority,
            ordering_key, dedup_key, metadata, trace_context, run_at, start_by, reason, callback_url, depends_on,
            lock_name, ordered, place)
), new AS (
    INSERT INTO jobs (id, external_id, project, type, queue, profile, params, status, attempt, max_attempts,
        timeout_s, priority, ordering_key, exclusive, dedup_key, metadata, trace_context, submitted_by, created_at,
        run_at, start_by, started_at, updated_at, worker_id, callback_url, depends_on)
    SELECT id, external_id, project, type, $2::text, profile, params,
        CASE WHEN now THEN 'running' ELSE 'pending' END, now::int, max_attempts, timeout_s, priority,
        ordering_key, CASE WHEN NOT ordered THEN lock_name END, dedup_key, metadata, trace_context, 'kafka',
        statement_timestamp(), run_at, start_by, CASE WHEN now THEN statement_timestamp() END, statement_timestamp(),
        CASE WHEN now THEN $1::uuid END, callback_url, depends_on
    FROM given
    ON CONFLICT (id) DO NOTHING
    RETURNING id, status
), waiting AS (
    -- One that comes behind another of its key in this batch sleeps until that one ends.
    INSERT INTO pending_jobs (job_id, state, visible_at, due_at, queue, type, project, priority, start_by, reason,
        lock_name, ordered)
    SELECT w.id, 'ready', CASE WHEN w.before IS NULL THEN w.at ELSE greatest(w.at, statement_timestamp() + interval '60 s') END,
        CASE WHEN w.lock_name IS NOT NULL THEN w.at END, $2, w.type, w.project, w.priority, w.start_by,
        CASE WHEN w.before IS NULL OR w.reason = 'depends_on' THEN w.reason ELSE format('waits for job %s before it in key %s', w.before, w.ordering_key) END,
        w.lock_name, w.ordered
    FROM (
        SELECT g.*, coalesce(g.run_at, statement_timestamp()) AS at, CASE WHEN g.ordered
            THEN lag(g.id) OVER (PARTITION BY g.ordered, g.project, g.lock_name ORDER BY g.place) END AS before
        FROM given g JOIN new ON new.id = g.id
        WHERE new.status = 'pending'
    ) w
    ORDER BY w.place
    ON CONFLICT (job_id) DO NOTHING
), searchable AS (
    INSERT INTO job_metadata (job_id, key, value)
    SELECT m.job_id, m.key, m.value
    FROM unnest($25::uuid[], $26::text[], $27::text[]) AS m (job_id, key, value) JOIN new ON new.id = m.job_id
    ON CONFLICT (job_id, key) DO NOTHING
)
SELECT id FROM new
