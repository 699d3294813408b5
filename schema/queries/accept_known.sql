-- Looks at jobs that records name and that exist already.
-- Of each record: $1 id of the job, $2 project, $3 type, $4 params as the record has them; $5 smallest,
-- $6 largest id.
-- Result: number of the record (from 1), whether project, type and params are the same.
SELECT g.n, j.project = g.project AND j.type = g.type AND j.params = g.params
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::jsonb[]) WITH ORDINALITY AS g (id, project, type, params, n)
JOIN jobs j ON j.id = g.id AND j.id = ANY ($1::uuid[]) AND j.id >= $5::uuid AND j.id <= $6::uuid
