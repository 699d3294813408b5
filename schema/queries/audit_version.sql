-- An object as a version made it. $1 object, $2 its id, $3 version. Result: it as JSON.
SELECT a.after FROM audit_log a WHERE a.object = $1 AND a.object_id = $2 AND a.version = $3::integer
