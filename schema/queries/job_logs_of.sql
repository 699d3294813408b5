-- Log lines of a job, in the order of attempt and seq. $1 job id, $2 levels; after the line of $3 attempt and $4 seq (may
-- be null: from the first on), at most $5, without the first $6.
-- Result: each line as JSON.
SELECT row_to_json(l)
FROM job_logs l
WHERE l.job_id = $1::uuid AND l.level = ANY ($2::text[]) AND (l.attempt, l.seq) > (coalesce($3::integer, -1), coalesce($4::integer, -1))
ORDER BY l.attempt, l.seq
LIMIT $5::bigint OFFSET $6::bigint
