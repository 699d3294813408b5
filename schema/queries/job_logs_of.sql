-- Log lines of a job, in the order of time. $1 job id, $2 levels. Result: each line as JSON.
SELECT row_to_json(l)
FROM job_logs l
WHERE l.job_id = $1::uuid AND l.level = ANY ($2::text[])
ORDER BY l.ts, l.attempt, l.seq
