-- Claims the Idempotency-Key of a request for the jobs that it submits; an error while another request has it.
-- $1 project  $2 key  $3 SHA-256 of the body  $4 ids of the jobs
SELECT idempotency_claim($1::text, $2::text, $3::bytea, $4::uuid[])
