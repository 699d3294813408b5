-- Types whose jobs wait although no worker that is alive can run them. Result: type and how many as JSON.
SELECT json_build_object('type', w.type, 'jobs', w.jobs)
FROM (SELECT p.type, count(*) AS jobs FROM pending_jobs p
      WHERE p.state IN ('ready', 'published') AND p.visible_at < clock_timestamp() - interval '1 minute'
      GROUP BY p.type) w
WHERE NOT EXISTS (SELECT FROM workers x WHERE w.type = ANY (x.types) AND x.state = 'running'
    AND x.expires_at > clock_timestamp())
ORDER BY w.jobs DESC
LIMIT 10
