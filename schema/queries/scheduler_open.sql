-- Unfinished jobs of schedules, each counted up to its max_instances; those of backfills do not count. Run after
-- the schedules are locked: only then does it see what another producer has just fired.
-- $1 schedule ids  $2 their last_job_id  $3 their max_instances  $4 oldest id to look at besides
-- Result: schedule id, count
-- The newest jobs are looked at first; those older than $4 count only as last_job_id, so that few
-- partitions are opened.
SELECT s.id,
       (SELECT count(*) FROM (
            SELECT 1
              FROM (SELECT j.id, j.status FROM jobs j WHERE j.id = s.last_job_id
                    UNION
                    (SELECT j.id, j.status FROM jobs j
                      WHERE j.schedule_id = s.id AND j.id >= $4
                        AND j.submitted_by IS DISTINCT FROM 'backfill'
                      ORDER BY j.id DESC
                      LIMIT CASE WHEN s.max_instances = 1 THEN 4 ELSE 1000 END)) u
             WHERE u.status IN ('pending', 'running')
             LIMIT s.max_instances) o)::integer AS open_jobs
  FROM unnest($1::uuid[], $2::uuid[], $3::integer[]) AS s (id, last_job_id, max_instances)
