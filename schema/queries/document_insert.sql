-- Makes a document. Its versions go on after those of one of its name that was deleted. $1 project, $2 name, $3 body,
-- $4 description (null or empty: none)
-- Result: version, and it as the audit log shows it. No row: there is one.
INSERT INTO documents (project, name, version, body, description)
SELECT $1, $2, 1 + coalesce((SELECT max(a.version) FROM audit_log a
                             WHERE a.object = 'document' AND a.object_id = $1 || '/' || $2), 0), $3, nullif($4, '')
ON CONFLICT (project, name) DO NOTHING
RETURNING version, jsonb_build_object('description', description, 'body', body)
