-- Makes the partitions that jobs of these ids need, week by week: what lies between is not made.
-- $1 job ids.
SELECT count(partition_ensure(w.week, w.week))
FROM (SELECT DISTINCT date_trunc('week', uuid7_time(id) AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' AS week
      FROM unnest($1::uuid[]) AS id) w
