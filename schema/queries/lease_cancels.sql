-- Jobs that a worker runs and that somebody wants cancelled. $1 worker id.
-- Result: id, attempt, who asked and why. The oldest claim bounds how far back the index is read.
SELECT j.id, j.attempt, job_cancel_text(j.cancel_requested)
FROM jobs j
WHERE j.cancel_requested IS NOT NULL AND j.worker_id = $1::uuid AND j.status = 'running'
    AND j.id >= (SELECT u.id FROM claims c, unnest(c.job_ids) AS u (id)
                 WHERE c.worker_id = $1::uuid ORDER BY u.id LIMIT 1)
