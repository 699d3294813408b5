-- Drops keys of requests whose time is over.
-- $1 at most so many
DELETE FROM idempotency_keys i
 WHERE i.expires_at < (SELECT clock_timestamp())
   AND (i.project, i.key) IN
       (SELECT o.project, o.key FROM idempotency_keys o
         WHERE o.expires_at < (SELECT clock_timestamp())
         ORDER BY o.expires_at LIMIT $1::integer FOR UPDATE SKIP LOCKED)
