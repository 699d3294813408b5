-- Unfinished jobs of schedules, each counted up to its max_instances; those of backfills do not count. Run after
-- the schedules are locked: only then does it see what another producer has just fired.
-- $1 schedule ids  $2 their last_job_id  $3 their max_instances
-- Result: schedule id, count, whether the last job is unfinished
-- It looks at the last job and at the rows of open_jobs: however many have ended does not matter.
SELECT s.id,
       (SELECT count(*) FROM (
            SELECT
              FROM (SELECT s.last_job_id AS job_id
                    UNION ALL
                    SELECT o.job_id FROM open_jobs o
                     WHERE o.schedule_id = s.id AND o.job_id IS DISTINCT FROM s.last_job_id) u
             CROSS JOIN LATERAL (SELECT j.status FROM jobs j WHERE j.id = u.job_id LIMIT 1) j
             WHERE j.status IN ('pending', 'running')
             LIMIT s.max_instances) o)::integer AS open_jobs,
       coalesce((SELECT j.status FROM jobs j WHERE j.id = s.last_job_id) IN ('pending', 'running'), false) AS last_is_open
  FROM unnest($1::uuid[], $2::uuid[], $3::integer[]) AS s (id, last_job_id, max_instances)
