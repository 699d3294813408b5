-- Documents that jobs are handed. $1 projects, $2 names.
-- Result: project, name, body, of all pairs of the two that there are.
SELECT d.project, d.name, d.body
FROM documents d
WHERE d.project = ANY ($1::text[]) AND d.name = ANY ($2::text[])
