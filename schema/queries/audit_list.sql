-- The audit log, newest first. $1 object, $2 object id, $3 actor, $4 action, $5 source, $6 project, $7 request id
-- (each may be null: any), $8 from, $9 before (times; null: any), $10 only rows older than the one with this id
-- (null: from the newest on), $11 limit, $12 offset. Result: each as JSON.
SELECT json_build_object('id', a.id, 'object', a.object, 'object_id', a.object_id, 'project', a.project,
                         'version', a.version, 'action', a.action, 'before', a.before, 'after', a.after, 'actor', a.actor,
                         'source', a.source, 'address', a.address, 'request_id', a.request_id, 'reason', a.reason,
                         'at', a.at)
  FROM audit_log a
 WHERE ($1::text IS NULL OR a.object = $1)
   AND ($2::text IS NULL OR a.object_id = $2)
   AND ($3::text IS NULL OR a.actor = $3)
   AND ($4::text IS NULL OR a.action = $4)
   AND ($5::text IS NULL OR a.source = $5)
   AND ($6::text IS NULL OR a.project = $6)
   AND ($7::text IS NULL OR a.request_id = $7)
   AND ($8::timestamptz IS NULL OR a.at >= $8)
   AND ($9::timestamptz IS NULL OR a.at < $9)
   AND ($10::uuid IS NULL OR a.id < $10)
 ORDER BY a.id DESC
 LIMIT $11::bigint OFFSET $12::bigint
