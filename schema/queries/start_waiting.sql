-- How many jobs of a queue wait to be started, counted up to a bound, and when the next one becomes due. Those that
-- wait for a lock count, too, but not those behind a failed job that blocks its key: they hold up no others.
-- $1 queue, $2 bound.
SELECT (SELECT count(*) FROM (
        SELECT 1 FROM pending_jobs
        WHERE state = 'ready' AND queue = $1::text AND visible_at <= statement_timestamp()
        LIMIT $2::int) w)
    + (SELECT count(*) FROM (
        SELECT 1 FROM pending_jobs p
        WHERE p.state = 'ready' AND p.queue = $1::text AND p.lock_name IS NOT NULL AND p.due_at <= statement_timestamp()
            AND p.visible_at > statement_timestamp()
            AND NOT EXISTS (SELECT FROM pending_jobs b WHERE b.state = 'held' AND b.reason IS NOT NULL
                AND b.project = p.project AND b.lock_name = p.lock_name)
        LIMIT $2::int) l),
    (SELECT min(visible_at) FROM pending_jobs
                  WHERE state = 'ready' AND queue = $1::text AND visible_at > statement_timestamp()
                      AND visible_at < statement_timestamp() + interval '5 seconds')
