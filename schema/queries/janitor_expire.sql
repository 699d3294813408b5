-- Ends jobs that were not started in time. One that has been started before is no longer bound by
-- start_by: its pending row loses it.
-- $1 job ids  $2 smallest, $3 largest id
-- Result: of each job that expired, its id, and whether jobs wait for it.
WITH ended AS (
    UPDATE jobs j
       SET status = 'expired', outcome = 'expired', completed_at = clock_timestamp(),
           error = 'expired: not started by its start_by', updated_at = clock_timestamp()
     WHERE j.id = ANY ($1::uuid[]) AND j.id >= $2::uuid AND j.id <= $3::uuid
       AND j.status = 'pending' AND j.attempt = 0
    RETURNING j.id, j.project, j.type, j.schedule_id, j.dedup_key, j.has_dependents, j.error,
              CASE WHEN j.callback_url IS NOT NULL OR j.callback_of IS NOT NULL THEN job_call(j) END
), logs AS (
    INSERT INTO job_logs (job_id, attempt, seq, ts, level, message)
    SELECT id, 0, 1000000000, clock_timestamp(), 'WARNING', error FROM ended
    ON CONFLICT (job_id, attempt, seq) DO NOTHING
), gone AS (
    DELETE FROM pending_jobs p
     WHERE p.job_id = ANY ($1::uuid[]) AND p.job_id IN (SELECT id FROM ended)
), kept AS (
    UPDATE pending_jobs p SET start_by = NULL
     WHERE p.job_id = ANY ($1::uuid[]) AND p.job_id NOT IN (SELECT id FROM ended)
), told AS (
    INSERT INTO unannounced (job_id) SELECT id FROM ended ON CONFLICT DO NOTHING
), open AS (
    DELETE FROM job_dependencies d WHERE d.job_id = ANY ($1::uuid[]) AND d.job_id IN (SELECT id FROM ended)
), released AS (
    DELETE FROM dedup_keys d USING ended e
     WHERE e.dedup_key IS NOT NULL AND d.project = e.project AND d.type = e.type
       AND d.kind = 'dedup_key' AND d.key = e.dedup_key AND d.job_id = e.id
), stats AS (
    INSERT INTO job_stats (hour, project, type, schedule_id, status, jobs, duration_ms)
    SELECT date_trunc('hour', clock_timestamp()), project, type, schedule_id, 'expired', count(*), 0
      FROM ended GROUP BY 1, 2, 3, 4, 5
)
SELECT id, has_dependents FROM ended
