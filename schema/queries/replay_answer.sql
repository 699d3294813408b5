-- Keeps the answer of a request that has an Idempotency-Key. Another that has taken the key over meanwhile keeps it.
-- $1 actor  $2 key  $3 X-Request-Id  $4 status  $5 Location  $6 ETag  $7 body
UPDATE request_replays
   SET status = $4::integer, location = $5::text, etag = $6::text, body = $7::text
 WHERE actor = $1::text AND key = $2::text AND request_id = $3::text
