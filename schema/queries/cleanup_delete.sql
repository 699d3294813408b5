-- Deletes jobs that have ended, which they stay, with their history. What job_stats counts stays.
-- $1 ids, sorted, $2 smallest, $3 largest
-- Result: how many jobs, steps, log rows, attempts, rows of metadata.
WITH places AS (
    DELETE FROM pending_jobs p WHERE p.job_id = ANY ($1::uuid[])
), steps AS (
    DELETE FROM job_steps r WHERE r.job_id = ANY ($1::uuid[]) AND r.job_id >= $2::uuid AND r.job_id <= $3::uuid RETURNING 1
), logs AS (
    DELETE FROM job_logs r WHERE r.job_id = ANY ($1::uuid[]) AND r.job_id >= $2::uuid AND r.job_id <= $3::uuid RETURNING 1
), attempts AS (
    DELETE FROM job_attempts r WHERE r.job_id = ANY ($1::uuid[]) AND r.job_id >= $2::uuid AND r.job_id <= $3::uuid RETURNING 1
), metadata AS (
    DELETE FROM job_metadata r WHERE r.job_id = ANY ($1::uuid[]) AND r.job_id >= $2::uuid AND r.job_id <= $3::uuid RETURNING 1
), gone AS (
    DELETE FROM jobs j WHERE j.id = ANY ($1::uuid[]) AND j.id >= $2::uuid AND j.id <= $3::uuid RETURNING 1
)
SELECT (SELECT count(*) FROM gone), (SELECT count(*) FROM steps), (SELECT count(*) FROM logs),
       (SELECT count(*) FROM attempts), (SELECT count(*) FROM metadata)
