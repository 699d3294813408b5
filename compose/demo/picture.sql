-- What `./dev demo` draws on a terminal, one line of text a row. Variables: cols (width of the terminal), lines (height).
WITH counts AS (
    SELECT count(*) FILTER (WHERE status = 'pending') AS pending,
           count(*) FILTER (WHERE status = 'running') AS running,
           count(*) FILTER (WHERE status = 'completed') AS completed,
           count(*) FILTER (WHERE status = 'failed') AS failed,
           coalesce(sum(greatest(attempt - 1, 0)), 0) AS retried
    FROM jobmill.jobs
), recent AS (
    SELECT * FROM jobmill.jobs ORDER BY id DESC LIMIT greatest(4, (:lines - 16) / 2)
), logs AS (
    SELECT l.*, j.type FROM jobmill.job_logs l JOIN jobmill.jobs j ON j.id = l.job_id
    ORDER BY l.ts DESC LIMIT greatest(4, (:lines - 16) / 2)
), steps AS (
    SELECT job_id, string_agg(name || CASE status WHEN 'success' THEN ' ✓' WHEN 'failed' THEN ' ✗' WHEN 'running' THEN ' …'
                                                   ELSE '' END, ', ' ORDER BY attempt, seq) AS list
    FROM jobmill.job_steps WHERE job_id IN (SELECT id FROM recent) GROUP BY job_id
), picture (part, n, line, paint) AS (
    SELECT 1, 0::bigint, format('SCHEDULES%s', ''), 'head'
    UNION ALL
    SELECT 1, row_number() OVER (ORDER BY next_run_at, name),
           format('  %s %s next in %s   %s runs, last %s', rpad(name, 12),
                  rpad(coalesce(cron_expression || ' ' || timezone, 'every ' || interval_seconds || ' s'), 26),
                  lpad(coalesce(greatest(0, ceil(extract(epoch FROM next_run_at - clock_timestamp())))::text, '-') || ' s', 5),
                  lpad(total_runs::text, 3), coalesce(last_status, '-')), ''
    FROM jobmill.schedules
    UNION ALL
    SELECT 2, 0, 'JOBS', 'head'
    UNION ALL
    SELECT 2, row_number() OVER (ORDER BY r.id DESC),
           format('  …%s  %s %s %s %s  %s', right(r.id::text, 6), rpad(r.type, 8), rpad(r.status, 9),
                  CASE WHEN r.attempt > 1 THEN 'attempt ' || r.attempt ELSE '         ' END,
                  lpad(coalesce(r.duration_ms || ' ms', ''), 8),
                  concat_ws('  ', s.list, CASE WHEN r.status = 'completed' THEN r.result::text ELSE r.error END)),
           r.status
    FROM recent r LEFT JOIN steps s ON s.job_id = r.id
    UNION ALL
    SELECT 3, 0, 'LOG', 'head'
    UNION ALL
    SELECT 3, row_number() OVER (ORDER BY ts, seq),
           format('  %s %s %s %s', to_char(ts AT TIME ZONE 'UTC', 'HH24:MI:SS'), rpad(level, 7), rpad(type, 8), message), level
    FROM logs
    UNION ALL
    SELECT 4, 0, format('%s pending, %s running, %s completed, %s failed, %s retried', pending, running, completed, failed,
                        retried), 'head'
    FROM counts
)
SELECT CASE paint
         WHEN 'head' THEN E'\x1b[1m' WHEN 'completed' THEN E'\x1b[32m' WHEN 'running' THEN E'\x1b[36m' WHEN 'failed' THEN E'\x1b[31m'
         WHEN 'pending' THEN E'\x1b[33m' WHEN 'WARNING' THEN E'\x1b[33m' WHEN 'ERROR' THEN E'\x1b[31m' ELSE '' END
       || left(line, :cols) || E'\x1b[0m\x1b[K'
FROM picture ORDER BY part, n;
