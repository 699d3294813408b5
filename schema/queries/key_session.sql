-- Adds a session of a key that holds. $1 the key's id, $2 prefix, $3 hash (hex), $4 seconds that it lasts (at most as
-- long as its key), $5 by whom. Result: it as JSON; no row: the key does not hold, or is a session itself.
INSERT INTO api_keys (name, prefix, hash, scope, project, parent_id, expires_at, created_by)
SELECT p.name, $2, decode($3::text, 'hex'), p.scope, p.project, p.id,
    least(p.expires_at, clock_timestamp() + $4::integer * interval '1 second'), $5
FROM api_keys p
WHERE p.id = $1::uuid AND p.parent_id IS NULL AND p.revoked_at IS NULL
    AND (p.expires_at IS NULL OR p.expires_at > clock_timestamp())
RETURNING json_build_object('id', id, 'name', name, 'scope', scope, 'project', project, 'parent_id', parent_id,
                            'expires_at', expires_at)
