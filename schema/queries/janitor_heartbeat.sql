-- Registers a producer or renews its row.
-- $1 id  $2 host  $3 pid  $4 version  $5 seconds until it counts as gone  $6 state
INSERT INTO workers (id, kind, host, pid, version, lease_s, expires_at, state)
VALUES ($1::uuid, 'producer', $2, $3::integer, $4, $5::integer,
        clock_timestamp() + make_interval(secs => $5::integer), $6)
ON CONFLICT (id) DO UPDATE
   SET heartbeat_at = clock_timestamp(), expires_at = excluded.expires_at, state = excluded.state
