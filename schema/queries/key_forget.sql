-- Deletes sessions that ended more than a day ago.
DELETE FROM api_keys k
WHERE k.parent_id IS NOT NULL AND least(k.expires_at, k.revoked_at) < clock_timestamp() - interval '1 day'
