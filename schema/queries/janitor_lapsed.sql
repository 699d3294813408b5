-- Workers whose lease has lapsed, and those known as lost or stopped that still have claims.
-- Result: id, lease in seconds, host, pid, whether it was known before.
SELECT w.id, w.lease_s, w.host, w.pid, w.state IN ('lost', 'stopped') AS known
  FROM workers w
 WHERE w.kind IN ('worker', 'outside') AND w.expires_at < clock_timestamp()
   AND (w.state IN ('running', 'stopping')
        OR EXISTS (SELECT FROM claims c WHERE c.worker_id = w.id))
 ORDER BY w.expires_at
