-- Locks a document that is to be changed. $1 project, $2 name, $3 its body to be, $4 its description to be (null: as
-- it is; empty: none)
-- Result: version, whether it is that already, and it as the audit log shows it. No row: there is none.
SELECT d.version, d.body = $3::jsonb AND ($4::text IS NULL OR coalesce(d.description, '') = $4),
       jsonb_build_object('description', d.description, 'body', d.body)
FROM documents d
WHERE d.project = $1 AND d.name = $2
FOR UPDATE
