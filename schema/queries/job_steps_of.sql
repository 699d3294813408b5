-- Steps of a job, in the order of attempt and seq. $1 job id; after the step of $2 attempt and $3 seq (may be null: from the
-- first on), at most $4, without the first $5.
-- Result: each step as JSON.
SELECT row_to_json(s)
FROM job_steps s
WHERE s.job_id = $1::uuid AND (s.attempt, s.seq) > (coalesce($2::integer, -1), coalesce($3::integer, -1))
ORDER BY s.attempt, s.seq
LIMIT $4::bigint OFFSET $5::bigint
