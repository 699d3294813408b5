-- Marks producers that are gone, and drops rows of processes that ended more than a day ago.
WITH gone AS (
    UPDATE workers SET state = 'lost'
     WHERE kind = 'producer' AND state IN ('running', 'stopping') AND expires_at < clock_timestamp()
)
DELETE FROM workers w
 WHERE w.state IN ('stopped', 'lost') AND w.heartbeat_at < clock_timestamp() - interval '1 day'
   AND NOT EXISTS (SELECT FROM claims c WHERE c.worker_id = w.id)
