-- Takes jobs from a worker that is lost: back to waiting, or ended if that was the last attempt. Writes
-- everything that goes with it; repeating it changes nothing, since it touches only jobs that are still
-- running on that worker. worker_id becomes null, by which the worker's own late report is told apart.
-- $1 worker id  $2 job ids  $3 smallest, $4 largest id
-- Result: id, status and queue of each job that was rescued, and whether jobs wait for it and it has ended.
WITH ended AS (
    UPDATE jobs j
       SET status = n.status,
           outcome = CASE WHEN n.status IN ('failed', 'cancelled') THEN n.status END,
           completed_at = CASE WHEN n.status <> 'pending' THEN clock_timestamp() END,
           duration_ms = CASE WHEN n.status <> 'pending'
               THEN (extract(epoch FROM clock_timestamp() - j.started_at) * 1000)::bigint END,
           error = CASE WHEN n.status = 'cancelled' THEN job_cancel_text(j.cancel_requested) || '; ' ELSE '' END
                   || 'worker lost: its lease lapsed while attempt ' || j.attempt || ' of '
                   || j.max_attempts || ' was running',
           worker_id = NULL,
           updated_at = clock_timestamp()
      FROM (SELECT i.id,
                   CASE WHEN i.cancel_requested IS NOT NULL THEN 'cancelled'
                        WHEN i.attempt >= i.max_attempts THEN 'failed'
                        ELSE 'pending' END AS status
              FROM jobs i
             WHERE i.id = ANY ($2::uuid[]) AND i.id >= $3::uuid AND i.id <= $4::uuid
               AND i.worker_id = $1::uuid AND i.status = 'running'
             ORDER BY i.id
               FOR UPDATE) n
     WHERE j.id = n.id AND j.id = ANY ($2::uuid[]) AND j.id >= $3::uuid AND j.id <= $4::uuid
    RETURNING j.id, j.attempt, j.status, j.project, j.type, j.queue, j.priority, j.schedule_id,
              j.dedup_key, j.has_dependents,
              CASE WHEN j.callback_url IS NOT NULL OR j.callback_of IS NOT NULL THEN job_call(j) END,
              j.started_at, j.duration_ms, j.error
), attempts AS (
    INSERT INTO job_attempts (job_id, attempt, worker_id, started_at, completed_at, outcome, error)
    SELECT id, attempt, $1::uuid, started_at, clock_timestamp(), 'lost', error FROM ended
    ON CONFLICT (job_id, attempt) DO NOTHING
), logs AS (
    INSERT INTO job_logs (job_id, attempt, seq, ts, level, message)
    SELECT id, attempt, 1000000000 + attempt, clock_timestamp(),
           CASE status WHEN 'failed' THEN 'ERROR' ELSE 'WARNING' END, error
      FROM ended
    ON CONFLICT (job_id, attempt, seq) DO NOTHING
), steps AS (
    UPDATE job_steps s
       SET status = 'failed', error = 'worker lost', completed_at = clock_timestamp(),
           duration_ms = (extract(epoch FROM clock_timestamp() - s.started_at) * 1000)::bigint
      FROM ended e
     WHERE s.job_id = e.id AND s.attempt = e.attempt AND s.status = 'running'
       AND s.job_id = ANY ($2::uuid[]) AND s.job_id >= $3::uuid AND s.job_id <= $4::uuid
), again AS (
    INSERT INTO pending_jobs (job_id, state, visible_at, queue, type, project, priority, reason)
    SELECT id, 'ready', clock_timestamp() + make_interval(secs => least(attempt, 10)), queue, type,
           project, priority, 'worker lost'
      FROM ended WHERE status = 'pending'
    ON CONFLICT (job_id) DO UPDATE
       SET state = 'ready', visible_at = excluded.visible_at, due_at = excluded.visible_at,
           reason = excluded.reason, start_by = NULL
), told AS (
    INSERT INTO unannounced (job_id) SELECT id FROM ended WHERE status <> 'pending' ON CONFLICT DO NOTHING
), released AS (
    DELETE FROM dedup_keys d USING ended e
     WHERE e.status <> 'pending' AND e.dedup_key IS NOT NULL AND d.project = e.project
       AND d.type = e.type AND d.kind = 'dedup_key' AND d.key = e.dedup_key AND d.job_id = e.id
), stats AS (
    INSERT INTO job_stats (hour, project, type, schedule_id, status, jobs, duration_ms)
    SELECT date_trunc('hour', clock_timestamp()), project, type, schedule_id, status, count(*),
           coalesce(sum(duration_ms), 0)
      FROM ended WHERE status <> 'pending' GROUP BY 1, 2, 3, 4, 5
)
SELECT id, status, queue, has_dependents AND status <> 'pending' FROM ended
