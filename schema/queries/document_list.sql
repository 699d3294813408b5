-- Documents without their bodies. $1 project (null: all), $2 beginning of the name (null: any), $3 limit, $4 offset,
-- $5 and $6 project and name behind which it begins (null: from the first on)
-- Result: each as JSON, by project and name.
SELECT json_build_object('project', d.project, 'name', d.name, 'version', d.version,
                         'bytes', octet_length(d.body::text), 'description', d.description,
                         'created_at', d.created_at, 'updated_at', d.updated_at)
FROM documents d
WHERE ($1::text IS NULL OR d.project = $1) AND ($2::text IS NULL OR starts_with(d.name, $2))
    AND ($6::text IS NULL OR (d.project, d.name) > ($5::text, $6))
ORDER BY d.project, d.name
LIMIT $3::bigint OFFSET $4::bigint
