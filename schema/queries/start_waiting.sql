-- How many jobs of a queue wait to be started, counted up to a bound, and when the next one becomes due.
-- $1 queue, $2 bound.
SELECT count(*), (SELECT min(visible_at) FROM pending_jobs
                  WHERE state = 'ready' AND queue = $1::text AND visible_at > statement_timestamp()
                      AND visible_at < statement_timestamp() + interval '5 seconds')
FROM (SELECT 1 FROM pending_jobs
      WHERE state = 'ready' AND queue = $1::text AND visible_at <= statement_timestamp()
      LIMIT $2::int) w
