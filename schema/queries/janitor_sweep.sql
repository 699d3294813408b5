-- Lets jobs start from the database that were published long ago and that no worker has claimed, as far
-- as the bound on what waits leaves room in their queue. They are never sent again.
-- $1 seconds since they were published  $2 most jobs that may wait in a queue
-- Result: queue of each job.
WITH full_queues AS MATERIALIZED (
    SELECT queue, $2::integer - count(*) AS room
      FROM pending_jobs WHERE state = 'ready' GROUP BY queue
), old AS MATERIALIZED (
    SELECT p.job_id, p.queue, p.visible_at
      FROM pending_jobs p
     WHERE p.state = 'published'
       AND p.visible_at < (SELECT clock_timestamp() - make_interval(secs => $1::integer))
       AND p.queue NOT IN (SELECT queue FROM full_queues WHERE room <= 0)
     ORDER BY p.visible_at
     LIMIT 1000
       FOR UPDATE SKIP LOCKED
), ranked AS MATERIALIZED (
    SELECT o.job_id, row_number() OVER (PARTITION BY o.queue ORDER BY o.visible_at) AS n,
           coalesce(f.room, $2::integer) AS room
      FROM old o LEFT JOIN full_queues f ON f.queue = o.queue
)
UPDATE pending_jobs p
   SET state = 'ready', visible_at = clock_timestamp(), reason = 'swept', message = NULL
 WHERE p.job_id = ANY (ARRAY(SELECT job_id FROM ranked WHERE n <= room))
RETURNING p.queue
