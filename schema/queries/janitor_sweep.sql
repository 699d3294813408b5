-- Lets jobs start from the database that were published long ago and that no worker has claimed, as far
-- as the bound on what waits leaves room in their queue. They are never sent again.
-- $1 seconds since they were published  $2 most jobs that may wait in a queue
-- Result: queue of each job; at most 1000 of a queue at once.
WITH late AS MATERIALIZED (
    SELECT clock_timestamp() - make_interval(secs => $1::integer) AS before
), queues AS MATERIALIZED (
    SELECT DISTINCT p.queue
      FROM pending_jobs p WHERE p.state = 'published' AND p.visible_at < (SELECT before FROM late)
), rooms AS MATERIALIZED (
    SELECT q.queue, least(1000, $2::integer - w.waiting) AS room
      FROM queues q
     CROSS JOIN LATERAL (
           SELECT count(*) AS waiting
             FROM (SELECT 1 FROM pending_jobs r
                    WHERE r.state = 'ready' AND r.queue = q.queue AND r.visible_at <= clock_timestamp()
                    LIMIT $2::integer) s) w
), old AS MATERIALIZED (
    SELECT o.job_id
      FROM rooms
     CROSS JOIN LATERAL (
           SELECT p.job_id
             FROM pending_jobs p
            WHERE p.state = 'published' AND p.queue = rooms.queue
              AND p.visible_at < (SELECT before FROM late)
            ORDER BY p.visible_at
            LIMIT rooms.room
              FOR UPDATE SKIP LOCKED) o
)
UPDATE pending_jobs p
   SET state = 'ready', visible_at = clock_timestamp(), reason = 'swept', message = NULL
 WHERE p.job_id = ANY (ARRAY(SELECT job_id FROM old))
RETURNING p.queue
