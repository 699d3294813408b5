-- Forgets an Idempotency-Key whose request was refused.
-- $1 actor  $2 the only project it sees ("": all)  $3 key  $4 X-Request-Id
DELETE FROM request_replays WHERE actor = $1::text AND project = $2::text AND key = $3::text AND request_id = $4::text AND status IS NULL
