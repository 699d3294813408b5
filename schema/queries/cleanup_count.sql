-- What there is of ended jobs. $1 smallest id, $2 first id after them, $3 project, $4 statuses (each may be null: any)
-- Result: jobs, steps, log rows, attempts, rows of metadata.
WITH ended AS MATERIALIZED (
    SELECT j.id FROM jobs j
    WHERE j.id >= $1::uuid AND j.id < $2::uuid AND j.status IN ('completed', 'failed', 'cancelled', 'expired')
        AND ($3::text IS NULL OR j.project = $3) AND ($4::text[] IS NULL OR j.status = ANY ($4))
)
SELECT (SELECT count(*) FROM ended),
       (SELECT count(*) FROM job_steps r JOIN ended e ON e.id = r.job_id WHERE r.job_id >= $1 AND r.job_id < $2),
       (SELECT count(*) FROM job_logs r JOIN ended e ON e.id = r.job_id WHERE r.job_id >= $1 AND r.job_id < $2),
       (SELECT count(*) FROM job_attempts r JOIN ended e ON e.id = r.job_id WHERE r.job_id >= $1 AND r.job_id < $2),
       (SELECT count(*) FROM job_metadata r JOIN ended e ON e.id = r.job_id WHERE r.job_id >= $1 AND r.job_id < $2)
