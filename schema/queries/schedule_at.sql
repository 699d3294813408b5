-- What is known about a schedule at a moment. $1 id, $2 the moment
-- Result: the row of the ledger that covers it, as JSON (null: none); the version that held then, as JSON (null: it did
-- not exist, or is not in the audit log).
SELECT (SELECT json_build_object('due_at', t.due_at, 'until', t.until, 'count', t.count, 'kind', t.kind,
                                 'outcome', t.outcome, 'reason', t.reason, 'job_id', t.job_id,
                                 'decided_at', t.decided_at, 'job_status', j.status, 'job_error', j.error)
          FROM (SELECT * FROM schedule_ticks t
                 WHERE t.schedule_id = $1::uuid AND t.due_at <= $2::timestamptz AND t.kind = 'calendar'
                 ORDER BY t.due_at DESC LIMIT 1) t
          LEFT JOIN jobs j ON j.id = t.job_id
         WHERE coalesce(t.until, t.due_at) >= $2::timestamptz) AS tick,
       (SELECT json_build_object('version', a.version, 'action', a.action, 'at', a.at, 'actor', a.actor, 'after', a.after)
          FROM audit_log a
         WHERE a.object = 'schedule' AND a.object_id = $1::uuid::text AND a.version IS NOT NULL
           AND a.at <= $2::timestamptz
         ORDER BY a.version DESC LIMIT 1) AS version
