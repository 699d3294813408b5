-- Ends jobs that have not started and that somebody wants cancelled. The oldest waiting job bounds how far
-- back the index is read. $1 at most so many.
-- Result: id of each job that was ended, whether jobs may wait for it.
SELECT e.id, coalesce(e.has_dependents, false)
  FROM (SELECT p.job_id
          FROM pending_jobs p
         WHERE p.state <> 'held'
           AND p.job_id IN (SELECT j.id FROM jobs j
                             WHERE j.cancel_requested IS NOT NULL
                               AND j.id >= (SELECT o.job_id FROM pending_jobs o ORDER BY o.job_id LIMIT 1))
         ORDER BY p.job_id
         LIMIT $1::integer) w
 CROSS JOIN LATERAL job_end_pending(w.job_id, 'cancelled', NULL) e
 WHERE e.id IS NOT NULL
