-- Looks for parents that were not there yet, and at the jobs named.
-- $1 at most so many jobs  $2 seconds after which a job is cancelled whose parent has not appeared
-- $3 ids of jobs to look at as well
-- Result: of each job, its id, fate (ready, waits, cancelled), queue, and whether jobs wait for it.
SELECT s.id, s.fate, s.queue, s.has_dependents
  FROM dependencies_settle(
           ARRAY(SELECT o.job_id
                   FROM (SELECT DISTINCT d.job_id
                           FROM (SELECT job_id FROM job_dependencies
                                  WHERE look_at <= (SELECT clock_timestamp())
                                  ORDER BY look_at LIMIT $1::integer) d
                          UNION SELECT unnest($3::uuid[])) o
                  ORDER BY o.job_id),
           $2::integer, NULL) s
