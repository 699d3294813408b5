-- Steps that succeeded in earlier attempts. $1 job ids, sorted, $2 smallest, $3 largest.
-- Result: job id, object of step name to data.
SELECT job_id, jsonb_object_agg(name, coalesce(data, 'null'::jsonb))
FROM job_steps
WHERE job_id = ANY ($1::uuid[]) AND job_id >= $2::uuid AND job_id <= $3::uuid AND status = 'success'
GROUP BY job_id
