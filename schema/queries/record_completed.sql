-- Ends attempts that completed and have nothing to say but steps, logs and a result. The fence: job,
-- attempt, worker and running; steps and logs are written only for jobs that passed it.
-- $1 worker id, of each job: $2 id, $3 attempt, $4 ended, $5 milliseconds, $6 result; $7 smallest, $8 largest id;
-- of each step: $9 job id, $10 seq, $11 name, $12 status, $13 data, $14 error, $15 attempts, $16 started,
--   $17 ended, $18 milliseconds;
-- of each log row: $19 job id, $20 seq, $21 step, $22 time, $23 level, $24 message, $25 details.
-- Result: of each job that was ended, its id, whether jobs wait for it, and when it is recorded to have ended.
WITH ended AS (
    UPDATE jobs j
    SET status = 'completed', completed_at = greatest(e.ended, j.started_at), duration_ms = e.ms,
        result = e.result, error = NULL, updated_at = statement_timestamp()
    FROM unnest($2::uuid[], $3::int[], $4::timestamptz[], $5::bigint[], $6::jsonb[])
        AS e (id, attempt, ended, ms, result)
    WHERE j.id = e.id AND j.id = ANY ($2::uuid[]) AND j.id >= $7::uuid AND j.id <= $8::uuid
        AND j.attempt = e.attempt AND j.worker_id = $1::uuid AND j.status = 'running'
    RETURNING j.id, j.attempt, j.project, j.type, j.schedule_id, j.has_dependents, j.completed_at,
        CASE WHEN j.callback_url IS NOT NULL OR j.callback_of IS NOT NULL THEN job_call(j) END, e.ended, e.ms
), steps AS (
    INSERT INTO job_steps (job_id, attempt, seq, name, status, data, error, attempts, created_at, started_at,
        completed_at, duration_ms)
    SELECT s.job_id, e.attempt, s.seq, s.name, s.status, s.data, s.error, s.attempts, statement_timestamp(),
        s.started, s.ended, s.ms
    FROM unnest($9::uuid[], $10::int[], $11::text[], $12::text[], $13::jsonb[], $14::text[], $15::int[],
        $16::timestamptz[], $17::timestamptz[], $18::bigint[])
        AS s (job_id, seq, name, status, data, error, attempts, started, ended, ms)
    JOIN ended e ON e.id = s.job_id
), logs AS (
    INSERT INTO job_logs (job_id, attempt, seq, step, ts, level, message, details)
    SELECT l.job_id, e.attempt, l.seq, l.step, l.ts, l.level, l.message, l.details
    FROM unnest($19::uuid[], $20::int[], $21::text[], $22::timestamptz[], $23::text[], $24::text[], $25::jsonb[])
        AS l (job_id, seq, step, ts, level, message, details)
    JOIN ended e ON e.id = l.job_id
), stats AS (
    INSERT INTO job_stats (hour, project, type, schedule_id, status, jobs, duration_ms)
    SELECT date_bin('1 hour', ended, 'epoch'), project, type, schedule_id, 'completed', count(*), sum(ms)
    FROM ended GROUP BY 1, 2, 3, 4
)
SELECT id, has_dependents, completed_at FROM ended
