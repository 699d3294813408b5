-- What is known about a schedule at a moment. $1 id, $2 the moment
-- Result: the row of the ledger that covers it, as JSON (null: none); the version that held then, as JSON (null: it did
-- not exist, or is not in the audit log); the version that had disabled it or, where it was enabled, paused it, as JSON;
-- what was run by hand or backfilled within the second, as JSON.
WITH held AS (
    SELECT a.* FROM audit_log a
     WHERE a.object = 'schedule' AND a.object_id = $1::uuid::text AND a.version IS NOT NULL
       AND a.at <= $2::timestamptz
     ORDER BY a.version DESC LIMIT 1
)
SELECT (SELECT json_build_object('due_at', t.due_at, 'until', t.until, 'count', t.count, 'kind', t.kind,
                                 'outcome', t.outcome, 'reason', t.reason, 'job_id', t.job_id,
                                 'decided_at', t.decided_at, 'job_status', j.status, 'job_error', j.error)
          FROM (SELECT * FROM schedule_ticks t
                 WHERE t.schedule_id = $1::uuid AND t.due_at <= $2::timestamptz AND t.kind = 'calendar'
                 ORDER BY t.due_at DESC LIMIT 1) t
          LEFT JOIN jobs j ON j.id = t.job_id
         WHERE coalesce(t.until, t.due_at) >= $2::timestamptz) AS tick,
       (SELECT json_build_object('version', h.version, 'action', h.action, 'at', h.at, 'actor', h.actor, 'after', h.after)
          FROM held h) AS version,
       (SELECT json_build_object('version', a.version, 'action', a.action, 'at', a.at, 'actor', a.actor,
                                 'reason', a.reason)
          FROM held h
          JOIN audit_log a ON a.object = 'schedule' AND a.object_id = $1::uuid::text AND a.version <= h.version
         WHERE CASE WHEN h.after ->> 'enabled' = 'false'
                    THEN a.after ->> 'enabled' = 'false' AND a.before ->> 'enabled' IS DISTINCT FROM 'false'
                    ELSE a.after ->> 'paused' = 'true' AND a.before ->> 'paused' IS DISTINCT FROM 'true' END
         ORDER BY a.version DESC LIMIT 1) AS off,
       (SELECT json_build_object('due_at', t.due_at, 'kind', t.kind, 'outcome', t.outcome, 'job_id', t.job_id,
                                 'job_status', j.status, 'job_error', j.error)
          FROM (SELECT * FROM schedule_ticks t
                 WHERE t.schedule_id = $1::uuid AND t.due_at >= $2::timestamptz
                   AND t.due_at < $2::timestamptz + interval '1 second' AND t.kind <> 'calendar'
                 ORDER BY t.due_at LIMIT 1) t
          LEFT JOIN jobs j ON j.id = t.job_id) AS other
