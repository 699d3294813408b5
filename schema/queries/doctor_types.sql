-- Jobs that wait although no worker that is alive can run their type and serves their queue. Result: type, queue, how
-- many, and whether a worker serves the queue, as JSON.
SELECT json_build_object('type', w.type, 'queue', w.queue, 'jobs', w.jobs, 'queue_served', EXISTS (
    SELECT FROM workers x WHERE w.queue = ANY (x.queues) AND x.state = 'running' AND x.expires_at > clock_timestamp()))
FROM (SELECT p.type, p.queue, count(*) AS jobs FROM pending_jobs p
      WHERE p.state IN ('ready', 'published') AND p.visible_at < clock_timestamp() - interval '1 minute'
      GROUP BY p.type, p.queue) w
WHERE NOT EXISTS (SELECT FROM workers x WHERE w.type = ANY (x.types) AND w.queue = ANY (x.queues) AND x.state = 'running'
    AND x.expires_at > clock_timestamp())
ORDER BY w.jobs DESC
LIMIT 10
