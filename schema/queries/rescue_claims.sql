-- The oldest claims of a worker that is lost.
-- $1 worker id  $2 at most so many
-- Result: seq, a job id; one row a job.
SELECT c.seq, u.job_id
  FROM (SELECT seq, job_ids FROM claims WHERE worker_id = $1::uuid ORDER BY seq LIMIT $2::integer) c
 CROSS JOIN LATERAL unnest(c.job_ids) AS u (job_id)
 ORDER BY u.job_id
