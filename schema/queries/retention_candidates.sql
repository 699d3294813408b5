-- Weekly partitions that lie wholly before an instant, oldest week first.
-- $1 that instant
-- Result: parent, partition, end of its week, its smallest id, the first id after it, whether it is
-- attached, whether a detach was begun and not finished.
SELECT t.parent, c.relname::text AS part, t.week + interval '7 days' AS ends_at,
       uuid7_floor(t.week) AS from_id, uuid7_floor(t.week + interval '7 days') AS to_id,
       i.inhrelid IS NOT NULL AS attached, coalesce(i.inhdetachpending, false) AS unfinished
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = current_schema()
 CROSS JOIN LATERAL (
     SELECT left(c.relname, -9) AS parent,
            to_timestamp(right(c.relname, 8) || '+00', 'YYYYMMDDTZH') AS week
      WHERE c.relname ~ '^(jobs|job_steps|job_logs|job_attempts|job_metadata)_[0-9]{8}$') t
  LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
 WHERE c.relkind = 'r' AND t.week + interval '7 days' <= $1::timestamptz
 ORDER BY t.week, c.relname
