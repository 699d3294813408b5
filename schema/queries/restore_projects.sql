-- Makes projects what a backup says, with the audit log. Of each: $1 name, $2 description, $3 min_interval_s; $4 actor,
-- $5 source, $6 reason, $7 address, $8 id of the request
-- Result: name, whether it is new, whether it was written.
WITH given AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::integer[]) AS g (name, description, min_interval_s)
), was AS (
    SELECT p.name, jsonb_build_object('name', p.name, 'description', p.description,
                                      'min_interval_s', p.min_interval_s) AS value
    FROM projects p
    WHERE p.name = ANY ($1::text[])
), written AS (
    INSERT INTO projects AS p (name, description, min_interval_s)
    SELECT g.name, g.description, g.min_interval_s FROM given g ORDER BY g.name
    ON CONFLICT (name) DO UPDATE
    SET description = EXCLUDED.description, min_interval_s = EXCLUDED.min_interval_s,
        updated_at = clock_timestamp()
    WHERE (p.description, p.min_interval_s) IS DISTINCT FROM (EXCLUDED.description, EXCLUDED.min_interval_s)
    RETURNING p.name, jsonb_build_object('name', p.name, 'description', p.description,
                                         'min_interval_s', p.min_interval_s) AS value
), audited AS (
    INSERT INTO audit_log (object, object_id, action, before, after, actor, source, reason,
                           address, request_id, project)
    SELECT 'project', w.name, CASE WHEN x.name IS NULL THEN 'create' ELSE 'update' END, x.value, w.value, $4, $5, $6,
           $7, $8, w.name
    FROM written w
    LEFT JOIN was x ON x.name = w.name
)
SELECT g.name, x.name IS NULL, w.name IS NOT NULL
FROM given g
LEFT JOIN was x ON x.name = g.name
LEFT JOIN written w ON w.name = g.name
ORDER BY g.name
