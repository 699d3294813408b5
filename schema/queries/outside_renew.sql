-- A program outside writes about the attempt that it runs, which renews its lease and keeps others from writing at the
-- same time. $1 job id, $2 attempt, $3 who writes.
-- Result: id of the lease's row, when the attempt started; no row: that attempt is over, or somebody else's.
UPDATE workers w
SET heartbeat_at = clock_timestamp(), expires_at = clock_timestamp() + make_interval(secs => w.lease_s)
FROM jobs j
WHERE j.id = $1::uuid AND j.attempt = $2::integer AND j.status = 'running' AND w.id = j.worker_id
    AND w.kind = 'outside' AND w.host = $3::text AND w.state = 'running'
RETURNING w.id, (extract(epoch FROM j.started_at) * 1000000)::bigint
