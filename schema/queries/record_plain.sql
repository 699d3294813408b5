-- Ends attempts that completed in one step, tried once, and have nothing to say but that: one step row and one
-- log row a job, made from what the UPDATE returns, with no join. The fence is that of record_completed.
-- $1 worker id, of each job: $2 id, $3 attempt, $4 started, $5 ended, $6 milliseconds, $7 the step's name, $8 its
-- data, which is the job's result as well, $9 message of the log row; $10 smallest, $11 largest id.
-- Result: of each job that was ended, its id, whether jobs wait for it, and when it is recorded to have ended.
WITH ended AS (
    UPDATE jobs j
    SET status = 'completed', completed_at = greatest(e.ended, j.started_at), duration_ms = e.ms,
        result = e.data, error = NULL, updated_at = statement_timestamp()
    FROM unnest($2::uuid[], $3::int[], $4::timestamptz[], $5::timestamptz[], $6::bigint[], $7::text[], $8::jsonb[],
        $9::text[]) AS e (id, attempt, started, ended, ms, step, data, message)
    WHERE j.id = e.id AND j.id = ANY ($2::uuid[]) AND j.id >= $10::uuid AND j.id <= $11::uuid
        AND j.attempt = e.attempt AND j.worker_id = $1::uuid AND j.status = 'running'
    RETURNING j.id, j.attempt, j.project, j.type, j.schedule_id, j.has_dependents, j.completed_at,
        CASE WHEN j.callback_url IS NOT NULL OR j.callback_of IS NOT NULL THEN job_call(j) END,
        e.started, e.ended, e.ms, e.step, e.data, e.message
), steps AS (
    INSERT INTO job_steps (job_id, attempt, seq, name, status, data, attempts, created_at, started_at, completed_at,
        duration_ms)
    SELECT id, attempt, 1, step, 'success', data, 1, statement_timestamp(), started, ended, ms FROM ended
), logs AS (
    INSERT INTO job_logs (job_id, attempt, seq, step, ts, level, message)
    SELECT id, attempt, 1, step, ended, 'INFO', message FROM ended
), stats AS (
    INSERT INTO job_stats (hour, project, type, schedule_id, status, jobs, duration_ms)
    SELECT date_bin('1 hour', ended, 'epoch'), project, type, schedule_id, 'completed', count(*), sum(ms)
    FROM ended GROUP BY 1, 2, 3, 4
)
SELECT id, has_dependents, completed_at FROM ended
