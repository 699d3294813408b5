-- When a calendar was first given another definition after a moment. $1 "project/name", $2 the moment
-- Result: that time; no row: it was as it is now.
SELECT a.at FROM audit_log a
 WHERE a.object = 'calendar' AND a.object_id = $1::text AND a.at > $2::timestamptz
   AND a.before IS NOT NULL AND a.before -> 'definition' IS DISTINCT FROM a.after -> 'definition'
 ORDER BY a.id LIMIT 1
