-- Who changed what. $1 object, $2 its id, $3 version (null: none was made), $4 action, $5 before, $6 after, $7 actor,
-- $8 source, $9 reason
INSERT INTO audit_log (object, object_id, version, action, before, after, actor, source, reason)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
