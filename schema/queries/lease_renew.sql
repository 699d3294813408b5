-- Registers a worker or renews its lease.
-- $1 id, $2 host, $3 pid, $4 version, $5 queues, $6 types, $7 concurrency, $8 running, $9 lease in seconds, $10 state.
-- Result: the state it had (null: it was not there), this server's clock.
WITH old AS (
    SELECT state FROM workers WHERE id = $1::uuid
), renewed AS (
    INSERT INTO workers (id, kind, host, pid, version, queues, types, concurrency, running, lease_s, expires_at,
        state)
    VALUES ($1::uuid, 'worker', $2, $3::int, $4, $5::text[], $6::text[], $7::int, $8::int, $9::int,
        clock_timestamp() + $9::int * interval '1 second', $10)
    ON CONFLICT (id) DO UPDATE
    SET queues = excluded.queues, types = excluded.types, concurrency = excluded.concurrency,
        running = excluded.running, lease_s = excluded.lease_s, heartbeat_at = clock_timestamp(),
        expires_at = clock_timestamp() + excluded.lease_s * interval '1 second', state = excluded.state
)
SELECT (SELECT state FROM old), clock_timestamp()
