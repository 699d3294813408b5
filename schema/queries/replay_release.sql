-- Gives up an Idempotency-Key: whoever comes with the same request may have it.
-- $1 actor  $2 key  $3 X-Request-Id
UPDATE request_replays SET busy_until = clock_timestamp()
 WHERE actor = $1::text AND key = $2::text AND request_id = $3::text AND status IS NULL
