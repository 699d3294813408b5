-- Which of some keys hold still. $1 ids. Result: as of key_find, of those that do.
SELECT k.id, k.parent_id, k.name, k.scope, k.project, least(k.expires_at, p.expires_at) AS expires_at, k.hash
FROM api_keys k
LEFT JOIN api_keys p ON p.id = k.parent_id
WHERE k.id = ANY ($1::uuid[]) AND k.revoked_at IS NULL AND p.revoked_at IS NULL
    AND coalesce(least(k.expires_at, p.expires_at) > clock_timestamp(), true)
