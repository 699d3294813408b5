-- Looks at jobs that a record names and that exist already.
-- $1 ids as known, sorted, $2 project, $3 type, $4 params as the record has them, $5 smallest, $6 largest id.
-- Result: id, whether project, type and params are the same.
SELECT g.id, j.project = g.project AND j.type = g.type AND j.params = g.params
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::jsonb[]) AS g (id, project, type, params)
JOIN jobs j ON j.id = g.id AND j.id = ANY ($1::uuid[]) AND j.id >= $5::uuid AND j.id <= $6::uuid
