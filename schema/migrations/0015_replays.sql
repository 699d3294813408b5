-- min_program_version: 0.1.0
-- Requests of the API that came with an Idempotency-Key and are no submission: what they were answered, to be answered again.

SELECT set_config('search_path', current_setting('search_path') || ', pg_temp', true);

CREATE TABLE request_replays (
    actor text NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    request_id text NOT NULL,
    claimed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    busy_until timestamptz NOT NULL,
    status smallint,
    location text,
    etag text,
    body text,
    expires_at timestamptz NOT NULL DEFAULT clock_timestamp() + interval '24 hours',
    PRIMARY KEY (actor, key)
);
CREATE INDEX request_replays_expires_at ON request_replays (expires_at);
COMMENT ON TABLE request_replays IS 'Idempotency-Key of requests that are no submission: the same request under the same key has the same answer for 24 hours';
COMMENT ON COLUMN request_replays.actor IS 'Who asked';
COMMENT ON COLUMN request_replays.key IS 'The key, as the client gave it';
COMMENT ON COLUMN request_replays.fingerprint IS 'SHA-256 of method, path, parameters and body, by which another request under the same key is told';
COMMENT ON COLUMN request_replays.request_id IS 'X-Request-Id of the request that has the key, under which the audit log says what it did';
COMMENT ON COLUMN request_replays.claimed_at IS 'When that request came';
COMMENT ON COLUMN request_replays.busy_until IS 'Until when it is taken to be at work while it has no answer';
COMMENT ON COLUMN request_replays.status IS 'Status of its answer; null while there is none';
COMMENT ON COLUMN request_replays.location IS 'Header Location of its answer';
COMMENT ON COLUMN request_replays.etag IS 'Header ETag of its answer';
COMMENT ON COLUMN request_replays.body IS 'Body of its answer; null: it had none';
COMMENT ON COLUMN request_replays.expires_at IS 'When the key may be used anew';
