-- Documents to write into a backup. $1 project (null: all)
-- Result: project, name, description, body as text.
SELECT d.project, d.name, d.description, d.body::text
FROM documents d
WHERE $1::text IS NULL OR d.project = $1
ORDER BY d.project COLLATE "C", d.name COLLATE "C"
