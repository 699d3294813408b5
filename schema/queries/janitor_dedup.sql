-- Drops keys whose window is over.
-- $1 at most so many
DELETE FROM dedup_keys d
 WHERE d.expires_at < (SELECT clock_timestamp())
   AND (d.project, d.type, d.kind, d.key) IN
       (SELECT o.project, o.type, o.kind, o.key FROM dedup_keys o
         WHERE o.expires_at < (SELECT clock_timestamp())
         ORDER BY o.expires_at LIMIT $1::integer FOR UPDATE SKIP LOCKED)
