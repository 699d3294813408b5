-- Accepts the records of a batch that make plain jobs (no optional field but params) and start at once.
-- $1 worker id, $2 queue, of each job, sorted by id: $3 id, $4 project, $5 type, $6 params, $7 max_attempts.
-- Result: id of each job that was new.
INSERT INTO jobs (id, project, type, queue, params, status, attempt, max_attempts, submitted_by, created_at,
    started_at, updated_at, worker_id)
SELECT id, project, type, $2::text, params, 'running', 1, max_attempts, 'kafka', statement_timestamp(),
    statement_timestamp(), statement_timestamp(), $1::uuid
FROM unnest($3::uuid[], $4::text[], $5::text[], $6::jsonb[], $7::int[])
    AS g (id, project, type, params, max_attempts)
ON CONFLICT (id) DO NOTHING
RETURNING id
