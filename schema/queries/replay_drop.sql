-- Forgets an Idempotency-Key whose request was refused.
-- $1 actor  $2 key  $3 X-Request-Id
DELETE FROM request_replays WHERE actor = $1::text AND key = $2::text AND request_id = $3::text AND status IS NULL
