-- Claims an Idempotency-Key for a request. One that is there stays as it was, unless its time is over, or it is of the same
-- request, which has no answer, nobody is at work on, and which by the audit log did nothing.
-- $1 actor  $2 the only project it sees ("": all)  $3 key  $4 SHA-256 of the request  $5 its X-Request-Id  $6 seconds that it
-- may be at work
-- Result: whether it is claimed; when not: whether it is of the same request, whether that is at work, and its answer: status,
-- Location, ETag, body.
WITH claimed AS (
    INSERT INTO request_replays AS r (actor, project, key, fingerprint, request_id, busy_until)
    VALUES ($1::text, $2::text, $3::text, $4::bytea, $5::text, clock_timestamp() + make_interval(secs => $6::integer))
    ON CONFLICT (actor, project, key) DO UPDATE
    SET fingerprint = excluded.fingerprint, request_id = excluded.request_id, claimed_at = excluded.claimed_at,
        busy_until = excluded.busy_until, expires_at = excluded.expires_at, status = NULL, location = NULL, etag = NULL, body = NULL
    WHERE r.expires_at <= clock_timestamp()
       OR (r.fingerprint = excluded.fingerprint AND r.status IS NULL AND r.busy_until <= clock_timestamp()
           AND NOT EXISTS (SELECT FROM audit_log a
                            WHERE a.actor = r.actor AND a.id >= uuid7_floor(r.claimed_at - interval '1 second')
                              AND a.request_id = r.request_id))
    RETURNING 1)
SELECT c.claimed, coalesce(r.fingerprint = $4::bytea, true), coalesce(r.status IS NULL AND r.busy_until > clock_timestamp(), true),
       r.status, r.location, r.etag, r.body
  FROM (SELECT EXISTS (SELECT FROM claimed) AS claimed) c
  LEFT JOIN request_replays r ON NOT c.claimed AND r.actor = $1::text AND r.project = $2::text AND r.key = $3::text
