-- New jobs that may be known already, or wait for others; each checked as a message is.
-- Arrays, one element a job: $1 id  $2 whether the caller named it  $3 external_id  $4 project  $5 type  $6 params
-- $7 its message as JSON with the queue  $8 run_at  $9 start_by  $10 submitted_by  $11 request_id
-- Result: of each its number from 1, the id of the job that it is, whether that was there before.
SELECT s.n, s.id, s.existed
  FROM submit_set($1::uuid[], $2::boolean[], $3::text[], $4::text[], $5::text[], $6::jsonb[], $7::jsonb[],
                  $8::timestamptz[], $9::timestamptz[], $10::text[], $11::text[]) s
 ORDER BY s.n
