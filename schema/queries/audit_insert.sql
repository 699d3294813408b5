-- Who changed what. $1 object, $2 its id, $3 version (null: none was made), $4 action, $5 before, $6 after, $7 actor,
-- $8 source, $9 reason, $10 when (null: now), $11 address, $12 id of the request, $13 project (null: the one that
-- after or before names)
INSERT INTO audit_log (object, object_id, version, action, before, after, actor, source, reason, at, address, request_id,
                       project)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, coalesce($10::timestamptz, clock_timestamp()), $11, $12,
        coalesce($13::text, $6::jsonb ->> 'project', $5::jsonb ->> 'project'))
