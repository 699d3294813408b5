-- Adds a key. $1 name, $2 prefix, $3 hash (hex), $4 scope, $5 project (null: all), $6 expires_at (null: never),
-- $7 by whom. Result: it as JSON; refused (23503) where there is no such project, (23505) where one of that name holds.
INSERT INTO api_keys (name, prefix, hash, scope, project, expires_at, created_by)
VALUES ($1, $2, decode($3::text, 'hex'), $4, $5, $6::timestamptz, $7)
RETURNING json_build_object('id', id, 'name', name, 'prefix', prefix, 'scope', scope, 'project', project,
                            'expires_at', expires_at, 'created_at', created_at, 'created_by', created_by)
