-- The state of the work that jobmill doctor looks at. Result: counts and ages as JSON.
SELECT json_build_object(
    'partition_ahead', to_regclass(format('%I.%I', current_schema(),
        'jobs_' || to_char(date_trunc('week', (clock_timestamp() + interval '7 days') AT TIME ZONE 'UTC'), 'YYYYMMDD')))
        IS NOT NULL,
    'workers', (SELECT count(*) FROM workers WHERE kind = 'worker' AND state IN ('running', 'stopping')
        AND expires_at > clock_timestamp()),
    'producers', (SELECT count(*) FROM workers WHERE kind = 'producer' AND state IN ('running', 'stopping')
        AND expires_at > clock_timestamp()),
    'lapsed', (SELECT json_agg(host || ' ' || pid) FROM workers WHERE state IN ('running', 'stopping')
        AND expires_at < clock_timestamp() - lease_s * interval '1 second'),
    'lost', (SELECT count(*) FROM workers WHERE state = 'lost' AND expires_at > clock_timestamp() - interval '1 hour'),
    'unpublished_s', (SELECT extract(epoch FROM clock_timestamp() - min(visible_at))::bigint FROM pending_jobs
        WHERE state = 'unpublished'),
    'schedules_late_s', (SELECT extract(epoch FROM clock_timestamp() - min(next_run_at))::bigint FROM schedules
        WHERE enabled AND NOT paused AND next_run_at IS NOT NULL),
    'schedules', (SELECT count(*) FROM schedules WHERE enabled AND NOT paused AND next_run_at IS NOT NULL),
    'queues', (SELECT json_agg(DISTINCT q ORDER BY q) FROM workers w, unnest(w.queues) AS q
        WHERE w.state IN ('running', 'stopping') AND w.expires_at > clock_timestamp()),
    'dead_letters', (SELECT count(*) FROM dead_letters
        WHERE id >= uuid7_floor(clock_timestamp() - interval '1 day') AND redriven_at IS NULL))
