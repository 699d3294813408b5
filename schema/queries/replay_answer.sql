-- Keeps the answer of a request that has an Idempotency-Key. Another that has taken the key over meanwhile keeps it.
-- $1 actor  $2 the only project it sees ("": all)  $3 key  $4 X-Request-Id  $5 status  $6 Location  $7 ETag  $8 body
UPDATE request_replays
   SET status = $5::integer, location = $6::text, etag = $7::text, body = $8::text
 WHERE actor = $1::text AND project = $2::text AND key = $3::text AND request_id = $4::text
