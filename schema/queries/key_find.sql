-- Keys that hold now, for whoever has one of them in hand. $1 prefix.
-- Result: id, parent's id, name, scope, project, expires_at, hash.
SELECT k.id, k.parent_id, k.name, k.scope, k.project, least(k.expires_at, p.expires_at) AS expires_at, k.hash
FROM api_keys k
LEFT JOIN api_keys p ON p.id = k.parent_id
WHERE k.prefix = $1::text AND k.revoked_at IS NULL AND p.revoked_at IS NULL
    AND coalesce(least(k.expires_at, p.expires_at) > clock_timestamp(), true)
