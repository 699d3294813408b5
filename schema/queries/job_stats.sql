-- What became of jobs, from the counts by hour. $1 project, $2 type, $3 schedule (each may be null: all), $4 from,
-- $5 before (of the hour in which they ended; may be null: open), $6 hour or day: the steps of the trend, $7 status (may be
-- null: all).
-- Result: one JSON object.
WITH counted AS MATERIALIZED (
    SELECT s.hour, s.type, s.status, sum(s.jobs)::bigint AS jobs, sum(s.duration_ms)::bigint AS ms
    FROM job_stats s
    WHERE s.hour >= coalesce(date_trunc('hour', $4::timestamptz), '-infinity')
        AND s.hour < coalesce($5::timestamptz, 'infinity')
        AND ($1::text IS NULL OR s.project = $1)
        AND ($2::text IS NULL OR s.type = $2)
        AND ($3::uuid IS NULL OR s.schedule_id = $3)
        AND ($7::text IS NULL OR s.status = $7)
        AND s.type !~ '^jobmill[.]callback$'
    GROUP BY 1, 2, 3
), whole AS (
    SELECT coalesce(sum(jobs), 0)::bigint AS total,
        coalesce(sum(jobs) FILTER (WHERE status = 'completed'), 0)::bigint AS completed,
        coalesce(sum(jobs) FILTER (WHERE status = 'failed'), 0)::bigint AS failed,
        coalesce(sum(jobs) FILTER (WHERE status = 'cancelled'), 0)::bigint AS cancelled,
        coalesce(sum(jobs) FILTER (WHERE status = 'expired'), 0)::bigint AS expired,
        round(100.0 * sum(jobs) FILTER (WHERE status = 'completed') / nullif(sum(jobs), 0), 1) AS success_rate,
        round(sum(ms) FILTER (WHERE status = 'completed') / nullif(sum(jobs) FILTER (WHERE status = 'completed'), 0))
            AS average_duration_ms
    FROM counted
), types AS (
    SELECT json_agg(t) AS list
    FROM (SELECT type, sum(jobs)::bigint AS jobs,
              coalesce(sum(jobs) FILTER (WHERE status = 'completed'), 0)::bigint AS completed
          FROM counted GROUP BY type ORDER BY 2 DESC, 1 LIMIT 5) t
), trend AS (
    SELECT json_agg(t) AS list
    FROM (SELECT date_trunc($6::text, hour) AS at, sum(jobs)::bigint AS jobs,
              coalesce(sum(jobs) FILTER (WHERE status = 'completed'), 0)::bigint AS completed,
              coalesce(sum(jobs) FILTER (WHERE status = 'failed'), 0)::bigint AS failed
          FROM counted GROUP BY 1 ORDER BY 1 DESC LIMIT 1000) t
)
SELECT json_build_object('total', w.total, 'completed', w.completed, 'failed', w.failed, 'cancelled', w.cancelled,
    'expired', w.expired, 'success_rate', coalesce(w.success_rate, 0), 'average_duration_ms', w.average_duration_ms,
    'types', coalesce(types.list, '[]'), 'trend', coalesce(trend.list, '[]'))
FROM whole w, types, trend
