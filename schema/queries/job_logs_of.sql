-- Log lines of a job, in the order of attempt and seq. $1 job id, $2 levels; after the line of $3 attempt and $4 seq, at most $5.
-- Result: each line as JSON.
SELECT row_to_json(l)
FROM job_logs l
WHERE l.job_id = $1::uuid AND l.level = ANY ($2::text[]) AND (l.attempt, l.seq) > ($3::integer, $4::integer)
ORDER BY l.attempt, l.seq
LIMIT $5::bigint
