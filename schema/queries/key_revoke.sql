-- Revokes a key with its sessions, or one session. $1 id. Result: ids of what held until now.
UPDATE api_keys k SET revoked_at = clock_timestamp()
WHERE (k.id = $1::uuid OR k.parent_id = $1) AND k.revoked_at IS NULL
RETURNING k.id
