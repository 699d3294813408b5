-- Adds up new rows of job_stats by hour and group, and counts them on their schedules, of whose unfinished jobs
-- those that have ended are struck off. One producer at a time; the others find nothing to do.
-- $1 at most so many rows  $2 oldest job id to look at for a schedule's last status
-- Result: how many rows were folded.
WITH me AS MATERIALIZED (
    SELECT pg_try_advisory_xact_lock(hashtext('jobmill fold'), hashtext(current_schema())) AS alone
), gone AS (
    DELETE FROM job_stats s
     WHERE NOT s.folded
       AND s.ctid = ANY (ARRAY(SELECT o.ctid FROM job_stats o, me
                                WHERE me.alone AND NOT o.folded LIMIT $1::integer))
    RETURNING s.hour, s.project, s.type, s.schedule_id, s.status, s.jobs, s.duration_ms
), folded AS (
    INSERT INTO job_stats AS t (hour, project, type, schedule_id, status, jobs, duration_ms, folded)
    SELECT hour, project, type, schedule_id, status, sum(jobs), sum(duration_ms), true
      FROM gone GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
    ON CONFLICT (hour, project, type, schedule_id, status) WHERE folded
    DO UPDATE SET jobs = t.jobs + excluded.jobs, duration_ms = t.duration_ms + excluded.duration_ms
), counts AS (
    SELECT schedule_id, sum(jobs) AS total,
           coalesce(sum(jobs) FILTER (WHERE status = 'completed'), 0) AS good,
           coalesce(sum(jobs) FILTER (WHERE status IN ('failed', 'expired')), 0) AS bad
      FROM gone WHERE schedule_id IS NOT NULL GROUP BY 1
), counted AS (
    UPDATE schedules s
       SET total_runs = s.total_runs + c.total,
           successful_runs = s.successful_runs + c.good,
           failed_runs = s.failed_runs + c.bad,
           last_status = coalesce(
               (SELECT r.status
                  FROM (SELECT j.id, j.status FROM jobs j
                         WHERE j.schedule_id = s.id AND j.id >= $2::uuid
                         ORDER BY j.id DESC LIMIT 100) r
                 WHERE r.status NOT IN ('pending', 'running') ORDER BY r.id DESC LIMIT 1),
               s.last_status)
      FROM counts c
     WHERE s.id = c.schedule_id AND s.id = ANY (ARRAY(SELECT schedule_id FROM counts))
    RETURNING s.id
), over AS MATERIALIZED (
    -- From the rows that were counted: who locks a schedule locks it before its open_jobs, here as elsewhere.
    SELECT o.schedule_id, o.job_id
      FROM counted c
     CROSS JOIN LATERAL (
           SELECT p.schedule_id, p.job_id FROM open_jobs p
            WHERE p.schedule_id = c.id ORDER BY p.job_id LIMIT 1000) o
     WHERE coalesce((SELECT j.status FROM jobs j WHERE j.id = o.job_id), 'deleted') NOT IN ('pending', 'running')
), struck AS (
    DELETE FROM open_jobs p USING over o
     WHERE p.schedule_id = o.schedule_id AND p.job_id = o.job_id
       AND p.schedule_id = ANY (ARRAY(SELECT schedule_id FROM over))
)
SELECT count(*) FROM gone
