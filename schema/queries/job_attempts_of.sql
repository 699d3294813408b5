-- Attempts of a job that did not complete or have output, by number. $1 job id; after $2 attempt (may be null: from the first
-- on), at most $3, without the first $4.
-- Result: each as JSON.
SELECT row_to_json(a)
FROM job_attempts a
WHERE a.job_id = $1::uuid AND a.attempt > coalesce($2::integer, -1)
ORDER BY a.attempt
LIMIT $3::bigint OFFSET $4::bigint
