-- Drops kept answers of requests whose time is over.
-- $1 at most so many
DELETE FROM request_replays i
 WHERE i.expires_at < (SELECT clock_timestamp())
   AND (i.actor, i.key) IN
       (SELECT o.actor, o.key FROM request_replays o
         WHERE o.expires_at < (SELECT clock_timestamp())
         ORDER BY o.expires_at LIMIT $1::integer FOR UPDATE SKIP LOCKED)
