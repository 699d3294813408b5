-- Keeps what attempts had to say that did not pass the fence, unless it was this worker that ended them
-- (a commit whose answer was lost).
-- $1 worker id, of each: $2 id, $3 attempt, $4 started, $5 ended, $6 error, $7 stdout, $8 stderr, $9 return_code;
-- $10 smallest, $11 largest id.
-- Result: id of each attempt that was superseded.
INSERT INTO job_attempts AS a (job_id, attempt, worker_id, started_at, completed_at, outcome, error, stdout,
    stderr, return_code)
SELECT g.id, g.attempt, $1::uuid, g.started, g.ended, 'superseded', g.error, g.out_text, g.err_text,
    g.return_code
FROM unnest($2::uuid[], $3::int[], $4::timestamptz[], $5::timestamptz[], $6::text[], $7::text[], $8::text[], $9::int[])
    AS g (id, attempt, started, ended, error, out_text, err_text, return_code)
JOIN jobs j ON j.id = g.id AND j.id = ANY ($2::uuid[]) AND j.id >= $10::uuid AND j.id <= $11::uuid
WHERE NOT (j.attempt = g.attempt AND j.worker_id IS NOT DISTINCT FROM $1::uuid)
ON CONFLICT (job_id, attempt) DO UPDATE
SET outcome = 'superseded', completed_at = excluded.completed_at, error = coalesce(excluded.error, a.error),
    stdout = excluded.stdout, stderr = excluded.stderr, return_code = excluded.return_code
WHERE a.outcome = 'lost'
RETURNING job_id
