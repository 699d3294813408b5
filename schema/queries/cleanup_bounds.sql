-- Before when things are old. $1 age in seconds
-- Result: that instant, the smallest id of it, whether this role may drop partitions.
SELECT b.at, uuid7_floor(b.at),
       (SELECT pg_has_role(c.relowner, 'USAGE') FROM pg_class c WHERE c.oid = 'jobs'::regclass)
  FROM (SELECT clock_timestamp() - make_interval(secs => $1::double precision) AS at) b
