-- Makes jobs that have just been accepted wait for what they depend on. Raises an error where that cannot be.
-- $1 job ids, sorted.
SELECT job_depend(w.job_id)
FROM (SELECT p.job_id FROM pending_jobs p
      WHERE p.job_id = ANY ($1::uuid[]) AND p.state = 'ready' AND p.reason = 'depends_on'
      ORDER BY p.job_id FOR UPDATE) w
