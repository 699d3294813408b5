-- Says that a worker has stopped. $1 id.
UPDATE workers SET state = 'stopped', running = 0, heartbeat_at = clock_timestamp(),
    expires_at = clock_timestamp()
WHERE id = $1::uuid
