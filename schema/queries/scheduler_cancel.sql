-- Cancels the jobs of schedules that newer ones take the place of; those of backfills, and retries of them, are left alone.
-- Arrays, one element a schedule: $1 id  $2 how many of its newest unfinished jobs are kept. $3 oldest id to look at.
-- Result: the jobs that run, which their workers are to be told about.
SELECT w.id
  FROM (SELECT o.id
          FROM unnest($1::uuid[], $2::integer[]) AS s (id, kept)
         CROSS JOIN LATERAL (
               SELECT r.id, row_number() OVER (ORDER BY r.id DESC) AS place
                 FROM (SELECT j.id, j.status FROM jobs j
                        WHERE j.schedule_id = s.id AND j.id >= $3::uuid
                          AND j.submitted_by IS DISTINCT FROM 'backfill'
                          AND (j.retry_of IS NULL OR NOT job_backfilled(j.retry_of))
                        ORDER BY j.id DESC LIMIT 1000) r
                WHERE r.status IN ('pending', 'running')) o
         WHERE o.place > s.kept
         ORDER BY o.id) w
 CROSS JOIN LATERAL job_cancel(w.id, 'schedule', 'a newer run takes its place') c
 WHERE c.fate = 'requested'
