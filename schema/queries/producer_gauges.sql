-- What the metrics of a producer say about the database. Each count stops at 10,001.
-- Result: what, queue or state, number (rows or microseconds):
--   state, its rows of pending_jobs;  unpublished, since when the one that arrived first of those that are next
--   waits;  overdue, schedules that have been due for more than a second;
--   pending, oldest, running: of a queue the jobs that are ready, since when the oldest is, and the jobs that run.
WITH RECURSIVE now AS MATERIALIZED (
    SELECT clock_timestamp() AS at
), states AS MATERIALIZED (
    SELECT 'unpublished' AS state, (SELECT count(*) FROM (
        SELECT FROM pending_jobs WHERE state = 'unpublished' LIMIT 10001) p) AS n
    UNION ALL
    SELECT 'published', (SELECT count(*) FROM (
        SELECT FROM pending_jobs WHERE state = 'published' LIMIT 10001) p)
    UNION ALL
    SELECT 'ready', (SELECT count(*) FROM (
        SELECT FROM pending_jobs WHERE state = 'ready' LIMIT 10001) p)
    UNION ALL
    SELECT 'held', (SELECT count(*) FROM (
        SELECT FROM pending_jobs WHERE state = 'held' LIMIT 10001) p)
), first AS MATERIALIZED (
    SELECT n.job_id
      FROM (SELECT p.job_id, p.seq FROM pending_jobs p
             WHERE p.state = 'unpublished' ORDER BY p.visible_at LIMIT 1000) n
     ORDER BY n.seq LIMIT 1
), queues AS (
    (SELECT p.queue FROM pending_jobs p WHERE p.state = 'ready' ORDER BY p.queue LIMIT 1)
    UNION ALL
    SELECT (SELECT p.queue FROM pending_jobs p
             WHERE p.state = 'ready' AND p.queue > q.queue ORDER BY p.queue LIMIT 1)
      FROM queues q WHERE q.queue IS NOT NULL
), waiting AS MATERIALIZED (
    SELECT q.queue, w.n, w.oldest
      FROM (SELECT queue FROM queues WHERE queue IS NOT NULL LIMIT 1000) q
     CROSS JOIN LATERAL (
           SELECT count(*) AS n, min(p.visible_at) AS oldest
             FROM (SELECT r.visible_at FROM pending_jobs r
                    WHERE r.state = 'ready' AND r.queue = q.queue AND r.visible_at <= (SELECT at FROM now)
                    LIMIT 10001) p) w
), running AS MATERIALIZED (
    SELECT r.queue, count(*) AS n
      FROM (SELECT (SELECT j.queue FROM jobs j WHERE j.id = c.id AND j.status = 'running') AS queue
              FROM (SELECT unnest(job_ids) AS id FROM claims LIMIT 10001) c) r
     WHERE r.queue IS NOT NULL GROUP BY r.queue
)
SELECT 'state' AS what, state AS label, n AS number FROM states
UNION ALL
SELECT 'unpublished', NULL, coalesce((
    SELECT greatest((extract(epoch FROM n.at - (SELECT j.created_at FROM jobs j WHERE j.id = f.job_id)) * 1000000)::bigint, 0)
      FROM first f, now n), 0)
UNION ALL
SELECT 'overdue', NULL, (SELECT count(*) FROM (
    SELECT FROM schedules s
     WHERE s.enabled AND NOT s.paused AND s.next_run_at < (SELECT at - interval '1 second' FROM now) LIMIT 10001) o)
UNION ALL
SELECT 'pending', queue, n FROM waiting
UNION ALL
SELECT 'oldest', queue, coalesce((extract(epoch FROM (SELECT at FROM now) - oldest) * 1000000)::bigint, 0) FROM waiting
UNION ALL
SELECT 'running', queue, n FROM running
