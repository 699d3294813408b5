-- What came of a request that had an Idempotency-Key. $1 project  $2 key  $3 SHA-256 of the body that comes now
-- Result: whether the body is the same, a job id; one row a job, in the order of the request.
SELECT k.fingerprint = $3::bytea, u.id
  FROM idempotency_keys k
 CROSS JOIN LATERAL unnest(k.job_ids) WITH ORDINALITY AS u (id, n)
 WHERE k.project = $1::text AND k.key = $2::text AND k.expires_at > clock_timestamp()
 ORDER BY u.n
