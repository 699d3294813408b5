-- One version of a document, or the newest. $1 "project/name", $2 version (null: the newest that is no deletion)
-- Result: it as JSON, and its body as text (null: the version deleted it).
SELECT json_build_object('version', a.version, 'action', a.action, 'at', a.at, 'actor', a.actor, 'source', a.source,
                         'reason', a.reason, 'description', a.after ->> 'description'),
       (a.after -> 'body')::text
  FROM audit_log a
 WHERE a.object = 'document' AND a.object_id = $1 AND a.version IS NOT NULL
   AND (a.version = $2::integer OR ($2::integer IS NULL AND a.after IS NOT NULL))
 ORDER BY a.version DESC
 LIMIT 1
