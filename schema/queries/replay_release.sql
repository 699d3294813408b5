-- Gives up an Idempotency-Key: whoever comes with the same request may have it.
-- $1 actor  $2 the only project it sees ("": all)  $3 key  $4 X-Request-Id
UPDATE request_replays SET busy_until = clock_timestamp()
 WHERE actor = $1::text AND project = $2::text AND key = $3::text AND request_id = $4::text AND status IS NULL
