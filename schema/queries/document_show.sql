-- One document. $1 project, $2 name
-- Result: it as JSON, and its body as text.
SELECT json_build_object('project', d.project, 'name', d.name, 'version', d.version,
                         'description', d.description, 'created_at', d.created_at,
                         'updated_at', d.updated_at),
       d.body::text
FROM documents d
WHERE d.project = $1 AND d.name = $2
