-- Versions of an object, newest first. $1 object, $2 its id, $3 limit, $4 offset, $5 only those before this one (null: all)
-- Result: each as JSON.
SELECT json_build_object('version', a.version, 'action', a.action, 'at', a.at, 'actor', a.actor, 'source', a.source,
                         'reason', a.reason, 'before', a.before, 'after', a.after)
  FROM audit_log a
 WHERE a.object = $1 AND a.object_id = $2 AND a.version IS NOT NULL
   AND ($5::int IS NULL OR a.version < $5)
 ORDER BY a.version DESC
 LIMIT $3::bigint OFFSET $4::bigint
