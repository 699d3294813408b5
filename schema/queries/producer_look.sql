-- What a producer asks once a second: which chores have something to do, whether jobs wait to be
-- published, and when the next schedule is due. It renews the producer's own row with that.
-- $1 seconds since they were published after which jobs are swept
-- $2 whether to write the row: $3 id  $4 host  $5 pid  $6 version  $7 seconds until it counts as gone  $8 state
-- Result: clock (PostgreSQL's), next (instant of the next schedule; null: none), unpublished, and for
-- each chore whether there is something to do. Each is an EXISTS on a small table or by a partial index.
WITH now AS MATERIALIZED (
    SELECT clock_timestamp() AS at
), beat AS (
    INSERT INTO workers (id, kind, host, pid, version, lease_s, expires_at, state)
    SELECT $3::uuid, 'producer', $4::text, $5::integer, $6::text, $7::integer,
           clock_timestamp() + make_interval(secs => $7::integer), $8::text
     WHERE $2::boolean
    ON CONFLICT (id) DO UPDATE
       SET heartbeat_at = clock_timestamp(), expires_at = excluded.expires_at, state = excluded.state
)
SELECT clock_timestamp() AS clock,
       least((SELECT s.next_run_at FROM schedules s
               WHERE s.enabled AND NOT s.paused AND s.next_run_at IS NOT NULL
               ORDER BY s.next_run_at LIMIT 1),
             (SELECT s.next_skip_at FROM schedules s
               WHERE s.enabled AND NOT s.paused AND s.next_skip_at IS NOT NULL
               ORDER BY s.next_skip_at LIMIT 1)) AS next,
       EXISTS (SELECT FROM pending_jobs p
                WHERE p.state = 'unpublished' AND p.visible_at <= (SELECT at FROM now)) AS unpublished,
       EXISTS (SELECT FROM workers w
                WHERE w.kind IN ('worker', 'outside') AND w.expires_at < (SELECT at FROM now)
                  AND (w.state IN ('running', 'stopping')
                       OR EXISTS (SELECT FROM claims c WHERE c.worker_id = w.id))) AS rescue,
       EXISTS (SELECT FROM pending_jobs p
                WHERE p.start_by < (SELECT at FROM now) AND p.state <> 'held') AS expire,
       EXISTS (SELECT FROM jobs j
                WHERE j.cancel_requested IS NOT NULL AND j.status = 'pending'
                  AND j.id >= (SELECT o.job_id FROM pending_jobs o ORDER BY o.job_id LIMIT 1)
                  AND (SELECT p.state FROM pending_jobs p WHERE p.job_id = j.id) <> 'held') AS cancel,
       EXISTS (SELECT FROM job_dependencies d WHERE d.look_at <= (SELECT at FROM now)) AS missing,
       EXISTS (SELECT FROM unannounced) OR EXISTS (SELECT FROM unannounced_changes) AS announce,
       EXISTS (SELECT FROM job_dependencies) AS depends,
       EXISTS (SELECT FROM pending_jobs p
                WHERE p.state = 'published'
                  AND p.visible_at < (SELECT at - make_interval(secs => $1::integer) FROM now)) AS sweep,
       EXISTS (SELECT FROM locks l WHERE l.owner IS NOT NULL OR l.capacity = 1 OR l.slot > l.capacity)
           OR EXISTS (SELECT FROM pending_jobs p WHERE p.state = 'held') AS locks,
       EXISTS (SELECT FROM job_stats s WHERE NOT s.folded) AS fold,
       EXISTS (SELECT FROM schedules_deleted) AS forget,
       EXISTS (SELECT FROM dedup_keys d WHERE d.expires_at < (SELECT at FROM now)) AS dedup,
       EXISTS (SELECT FROM workers w
                WHERE w.kind = 'producer' AND w.state IN ('running', 'stopping')
                  AND w.expires_at < (SELECT at FROM now)
                   OR w.state IN ('stopped', 'lost')
                  AND w.heartbeat_at < (SELECT at - interval '1 day' FROM now)
                  AND NOT EXISTS (SELECT FROM claims c WHERE c.worker_id = w.id)) AS workers
