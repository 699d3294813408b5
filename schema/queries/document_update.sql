-- Changes a document that document_lock has locked. $1 project, $2 name, $3 body, $4 description (null: as it was; empty: none)
-- Result: version, and it as the audit log shows it.
UPDATE documents
SET body = $3, description = nullif(coalesce($4, description), ''), version = version + 1, updated_at = clock_timestamp()
WHERE project = $1 AND name = $2
RETURNING version, jsonb_build_object('description', description, 'body', body)
