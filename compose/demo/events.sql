-- What `./dev demo` says line by line where there is no terminal: a key, a tab, and the line, in the order of time. The
-- script leaves out the keys that it has said already; only the last minute is looked at.
SELECT key || E'\t' || to_char(at AT TIME ZONE 'UTC', 'HH24:MI:SS') || ' ' || line
FROM (
    SELECT t.schedule_id || '/' || t.due_at AS key, t.decided_at AS at,
           format('fired     %s: job …%s', s.name, right(t.job_id::text, 6)) AS line
    FROM jobmill.schedule_ticks t JOIN jobmill.schedules s ON s.id = t.schedule_id WHERE t.outcome = 'fired'
    UNION ALL
    SELECT j.id || '/start/' || j.attempt, j.started_at, format('started   %s …%s%s', j.type, right(j.id::text, 6),
           CASE WHEN j.attempt > 1 THEN ', attempt ' || j.attempt ELSE '' END)
    FROM jobmill.jobs j WHERE j.started_at IS NOT NULL
    UNION ALL
    SELECT l.job_id || '/log/' || l.attempt || '/' || l.seq, l.ts, format('log       …%s %s%s %s', right(l.job_id::text, 6),
           CASE WHEN l.step IS NULL THEN '' ELSE l.step || ': ' END, l.level, l.message)
    FROM jobmill.job_logs l WHERE l.message NOT LIKE 'step %' -- the steps speak for themselves
    UNION ALL
    SELECT s.job_id || '/step/' || s.attempt || '/' || s.seq, s.completed_at, format('step      …%s %s %s after %s ms%s',
           right(s.job_id::text, 6), s.name, s.status, s.duration_ms, ': ' || s.error)
    FROM jobmill.job_steps s WHERE s.completed_at IS NOT NULL
    UNION ALL
    SELECT j.id || '/retry/' || j.attempt, j.updated_at, format('to retry  %s …%s: %s', j.type, right(j.id::text, 6), j.error)
    FROM jobmill.jobs j WHERE j.status = 'pending' AND j.attempt > 0
    UNION ALL
    SELECT j.id || '/end', j.completed_at, format('%s %s …%s%s', rpad(j.status, 9), j.type, right(j.id::text, 6),
           coalesce(' ' || coalesce(j.error, j.result::text), ''))
    FROM jobmill.jobs j WHERE j.completed_at IS NOT NULL
) events (key, at, line)
WHERE at > clock_timestamp() - interval '1 minute'
ORDER BY at, key;
