-- What jobs that are followed are doing. $1 their ids, one a follower.
-- Result: place of the follower, whether the job has ended, a word that changes with its state, its state as JSON.
SELECT f.n, j.status NOT IN ('pending', 'running'),
       j.attempt || '.' || j.status || '.' || (extract(epoch FROM j.updated_at) * 1000000)::bigint,
       json_build_object('id', j.id, 'status', j.status, 'attempt', j.attempt, 'started_at', j.started_at,
                         'completed_at', j.completed_at, 'duration_ms', j.duration_ms, 'progress', j.progress,
                         'items_total', j.items_total, 'items_ok', j.items_ok, 'items_failed', j.items_failed,
                         'error', j.error, 'cancel_requested', j.cancel_requested, 'updated_at', j.updated_at)::text
  FROM unnest($1::uuid[]) WITH ORDINALITY AS f (job_id, n)
  JOIN jobs j ON j.id = f.job_id
 ORDER BY f.n
