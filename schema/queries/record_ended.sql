-- Reports of attempts of every other kind: still running, ended in whatever way, with output, progress or
-- metadata. The fence: job, attempt, worker and running; everything else is written only for jobs that
-- passed it, and repeating it changes nothing.
-- $1 worker id, of each job: $2 id, $3 attempt, $4 status (running, completed, failed, cancelled, or
--   pending to be started again), $5 ended, $6 milliseconds, $7 error, $8 result, $9 metadata to merge,
--   $10 progress, $11 items_total, $12 items_ok, $13 items_failed, $14 start again at, $15 outcome of the attempt
--   (null: no row in job_attempts), $16 started, $17 stdout, $18 stderr, $19 return_code, $20 output_files,
--   $21 total_size; $22 smallest, $23 largest id;
-- of each step: $24 job id, $25 seq, $26 name, $27 status, $28 data, $29 error, $30 attempts, $31 started,
--   $32 ended, $33 milliseconds;
-- of each log row: $34 job id, $35 seq, $36 step, $37 time, $38 level, $39 message, $40 details;
-- of each searchable key among the metadata: $41 job id, $42 key, $43 value.
-- Result: of each job that passed the fence, its id, whether jobs wait for it and it has ended, and when it is
-- recorded to have ended.
WITH given AS (
    SELECT * FROM unnest($2::uuid[], $3::int[], $4::text[], $5::timestamptz[], $6::bigint[], $7::text[], $8::jsonb[],
        $9::jsonb[], $10::jsonb[], $11::bigint[], $12::bigint[], $13::bigint[], $14::timestamptz[], $15::text[],
        $16::timestamptz[], $17::text[], $18::text[], $19::int[], $20::jsonb[], $21::bigint[])
        AS g (id, attempt, status, ended, ms, error, result, set_metadata, progress, items_total, items_ok,
            items_failed, again_at, outcome, started, out_text, err_text, return_code, output_files, total_size)
), ended AS (
    UPDATE jobs j
    SET status = g.status,
        outcome = CASE WHEN g.status IN ('failed', 'cancelled') THEN g.status END,
        completed_at = CASE WHEN g.status NOT IN ('running', 'pending') THEN greatest(g.ended, j.started_at) END,
        duration_ms = CASE WHEN g.status NOT IN ('running', 'pending') THEN g.ms END,
        error = CASE WHEN g.status = 'completed' THEN NULL ELSE coalesce(g.error, j.error) END,
        result = coalesce(g.result, j.result),
        metadata = CASE WHEN g.set_metadata IS NULL THEN j.metadata
                        ELSE coalesce(j.metadata, '{}') || g.set_metadata END,
        progress = coalesce(g.progress, j.progress),
        items_total = coalesce(g.items_total, j.items_total),
        items_ok = coalesce(g.items_ok, j.items_ok),
        items_failed = coalesce(g.items_failed, j.items_failed),
        max_attempts = j.max_attempts + CASE WHEN g.outcome = 'returned' THEN 1 ELSE 0 END,
        updated_at = statement_timestamp()
    FROM given g
    WHERE j.id = g.id AND j.id = ANY ($2::uuid[]) AND j.id >= $22::uuid AND j.id <= $23::uuid
        AND j.attempt = g.attempt AND j.worker_id = $1::uuid AND j.status = 'running'
    RETURNING j.id, j.attempt, j.status, j.project, j.type, j.queue, j.priority, j.start_by, j.schedule_id,
        j.dedup_key, j.has_dependents, j.completed_at,
        CASE WHEN j.callback_url IS NOT NULL OR j.callback_of IS NOT NULL THEN job_call(j) END,
        g.ended, g.ms, g.again_at, g.outcome, g.started, g.error, g.out_text, g.err_text,
        g.return_code, g.output_files, g.total_size
), steps AS (
    INSERT INTO job_steps AS old (job_id, attempt, seq, name, status, data, error, attempts, created_at,
        started_at, completed_at, duration_ms)
    SELECT s.job_id, e.attempt, s.seq, s.name, s.status, s.data, s.error, s.attempts, statement_timestamp(),
        s.started, s.ended, s.ms
    FROM unnest($24::uuid[], $25::int[], $26::text[], $27::text[], $28::jsonb[], $29::text[], $30::int[],
        $31::timestamptz[], $32::timestamptz[], $33::bigint[])
        AS s (job_id, seq, name, status, data, error, attempts, started, ended, ms)
    JOIN ended e ON e.id = s.job_id
    ON CONFLICT (job_id, attempt, seq) DO UPDATE
    SET status = excluded.status, data = excluded.data, error = excluded.error, attempts = excluded.attempts,
        completed_at = excluded.completed_at,
        duration_ms = coalesce(excluded.duration_ms, -- who reports from outside says no more than that it is over
            round(extract(epoch FROM excluded.completed_at - old.started_at) * 1000)::bigint)
    WHERE old.status IN ('pending', 'running')
), logs AS (
    INSERT INTO job_logs (job_id, attempt, seq, step, ts, level, message, details)
    SELECT l.job_id, e.attempt, l.seq, l.step, l.ts, l.level, l.message, l.details
    FROM unnest($34::uuid[], $35::int[], $36::text[], $37::timestamptz[], $38::text[], $39::text[], $40::jsonb[])
        AS l (job_id, seq, step, ts, level, message, details)
    JOIN ended e ON e.id = l.job_id
    ON CONFLICT (job_id, attempt, seq) DO NOTHING
), searchable AS (
    INSERT INTO job_metadata (job_id, key, value)
    SELECT m.job_id, m.key, m.value
    FROM unnest($41::uuid[], $42::text[], $43::text[]) AS m (job_id, key, value)
    JOIN ended e ON e.id = m.job_id
    ON CONFLICT (job_id, key) DO UPDATE SET value = excluded.value
), attempts AS (
    INSERT INTO job_attempts (job_id, attempt, worker_id, started_at, completed_at, outcome, error, stdout,
        stderr, return_code, output_files, total_size)
    SELECT id, attempt, $1::uuid, started, ended, outcome, error, out_text, err_text, return_code, output_files,
        total_size
    FROM ended WHERE outcome IS NOT NULL
    ON CONFLICT (job_id, attempt) DO NOTHING
), again AS (
    INSERT INTO pending_jobs (job_id, state, visible_at, queue, type, project, priority, start_by, reason)
    SELECT id, 'ready', coalesce(again_at, statement_timestamp()), queue, type, project, priority,
        NULL, CASE WHEN outcome = 'returned' THEN 'handed back by its worker' ELSE 'retry' END
    FROM ended WHERE status = 'pending'
    ON CONFLICT (job_id) DO UPDATE
    SET state = 'ready', visible_at = excluded.visible_at, due_at = excluded.visible_at, reason = excluded.reason,
        start_by = NULL
    WHERE pending_jobs.state = 'held'
), released AS (
    DELETE FROM dedup_keys d USING ended e
    WHERE e.status IN ('failed', 'cancelled') AND e.dedup_key IS NOT NULL AND d.project = e.project
        AND d.type = e.type AND d.kind = 'dedup_key' AND d.key = e.dedup_key AND d.job_id = e.id
), stats AS (
    INSERT INTO job_stats (hour, project, type, schedule_id, status, jobs, duration_ms)
    SELECT date_bin('1 hour', ended, 'epoch'), project, type, schedule_id, status, count(*), coalesce(sum(ms), 0)
    FROM ended WHERE status NOT IN ('running', 'pending') GROUP BY 1, 2, 3, 4, 5
)
SELECT id, has_dependents AND status NOT IN ('running', 'pending'), completed_at FROM ended
