-- Who changed what. $1 object, $2 its id, $3 version (null: none was made), $4 action, $5 before, $6 after, $7 actor,
-- $8 source, $9 reason, $10 when (null: now)
INSERT INTO audit_log (object, object_id, version, action, before, after, actor, source, reason, at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, coalesce($10::timestamptz, clock_timestamp()))
