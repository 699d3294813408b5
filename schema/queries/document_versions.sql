-- Versions of a document, newest first, also of one that is deleted. $1 "project/name", $2 limit, $3 offset,
-- $4 only versions below this one (null: all)
-- Result: each as JSON, without its body.
SELECT json_build_object('version', a.version, 'action', a.action, 'at', a.at, 'actor', a.actor, 'source', a.source,
                         'reason', a.reason, 'bytes', octet_length((a.after -> 'body')::text),
                         'description', a.after ->> 'description')
  FROM audit_log a
 WHERE a.object = 'document' AND a.object_id = $1 AND ($4::bigint IS NULL OR a.version < $4)
 ORDER BY a.version DESC
 LIMIT $2::bigint OFFSET $3::bigint
