-- How long jobs took and what a value of their metadata adds up to, by the newest jobs of a range: never all of them.
-- $1 project, $2 type, $3 schedule (each may be null: all), $4 from, $5 before (by the time in the id; may be null:
-- open), $6 key of the metadata (may be null), $7 how many completed ones tell of the time, $8 how many are looked at,
-- $9 status (may be null: all).
-- Each branch walks the index of its filter, as far as is asked for; only one of them runs. Result: one JSON object.
WITH newest AS NOT MATERIALIZED (
    (SELECT j.id, j.status, j.duration_ms, j.metadata ->> $6::text AS value FROM jobs j
     WHERE $1::text IS NULL AND $2::text IS NULL AND $3::uuid IS NULL AND true
         AND j.id >= uuid7_floor(coalesce($4::timestamptz, 'epoch'))
         AND j.id < uuid7_floor(coalesce($5::timestamptz, '9999-01-01'))
     ORDER BY j.id DESC LIMIT $8::int)
    UNION ALL
    (SELECT j.id, j.status, j.duration_ms, j.metadata ->> $6::text AS value FROM jobs j
     WHERE $1::text IS NOT NULL AND $2::text IS NULL AND $3::uuid IS NULL AND j.project = $1
         AND j.id >= uuid7_floor(coalesce($4::timestamptz, 'epoch'))
         AND j.id < uuid7_floor(coalesce($5::timestamptz, '9999-01-01'))
     ORDER BY j.id DESC LIMIT $8::int)
    UNION ALL
    (SELECT j.id, j.status, j.duration_ms, j.metadata ->> $6::text AS value FROM jobs j
     WHERE $2::text IS NOT NULL AND $3::uuid IS NULL AND j.type = $2 AND ($1::text IS NULL OR j.project = $1)
         AND j.id >= uuid7_floor(coalesce($4::timestamptz, 'epoch'))
         AND j.id < uuid7_floor(coalesce($5::timestamptz, '9999-01-01'))
     ORDER BY j.id DESC LIMIT $8::int)
    UNION ALL
    (SELECT j.id, j.status, j.duration_ms, j.metadata ->> $6::text AS value FROM jobs j
     WHERE $3::uuid IS NOT NULL AND j.schedule_id = $3 AND ($1::text IS NULL OR j.project = $1) AND ($2::text IS NULL OR j.type = $2)
         AND j.id >= uuid7_floor(coalesce($4::timestamptz, 'epoch'))
         AND j.id < uuid7_floor(coalesce($5::timestamptz, '9999-01-01'))
     ORDER BY j.id DESC LIMIT $8::int)
), times AS (
    SELECT duration_ms FROM newest WHERE status = 'completed' AND coalesce($9::text, 'completed') = 'completed' LIMIT $7::int
), looked AS MATERIALIZED (
    SELECT status, value FROM newest WHERE $6::text IS NOT NULL
), numbers AS (
    SELECT value::numeric AS value FROM looked
    WHERE CASE WHEN length(value) < 40 THEN value ~ '^-?[0-9]+([.][0-9]+)?$' ELSE false END
        AND ($9::text IS NULL OR status = $9)
)
SELECT json_build_object(
    'p95_duration_ms', (SELECT round(percentile_cont(0.95) WITHIN GROUP (ORDER BY duration_ms)) FROM times),
    'sampled', (SELECT count(*) FROM times),
    'sum', CASE WHEN $6 IS NOT NULL THEN json_build_object('key', $6, 'value', (SELECT coalesce(sum(value), 0) FROM numbers),
        'jobs', (SELECT count(*) FROM numbers), 'complete', (SELECT count(*) < $8 FROM looked)) END)
