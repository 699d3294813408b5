-- Takes jobs that ended with no worker to tell it, for the events about them. $1 how many at most.
-- Result: of each job what its event says.
WITH taken AS MATERIALIZED (
    DELETE FROM unannounced u
     WHERE u.job_id = ANY (ARRAY(SELECT n.job_id FROM unannounced n ORDER BY n.job_id LIMIT $1::int
                                    FOR UPDATE SKIP LOCKED))
    RETURNING u.job_id
)
SELECT j.id, j.status, j.project, j.type, j.queue, j.attempt, j.external_id, j.schedule_id, j.due_at, j.started_at,
       j.completed_at, j.duration_ms, j.error, j.trace_context
  FROM jobs j
 WHERE j.id = ANY (ARRAY(SELECT job_id FROM taken)) AND j.completed_at IS NOT NULL
   AND j.id >= (SELECT job_id FROM taken ORDER BY job_id LIMIT 1)
   AND j.id <= (SELECT job_id FROM taken ORDER BY job_id DESC LIMIT 1)
