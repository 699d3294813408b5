-- min_program_version: 0.1.0
-- Who may do what: keys of the API; and in the audit log from where a change came, and of which project it was.

SELECT set_config('search_path', current_setting('search_path') || ', pg_temp', true);

CREATE TABLE api_keys (
    id uuid PRIMARY KEY DEFAULT uuid7(),
    name text NOT NULL CHECK (name ~ '^[A-Za-z0-9][A-Za-z0-9._@-]{0,99}$'),
    prefix text NOT NULL,
    hash bytea NOT NULL UNIQUE CHECK (octet_length(hash) = 32),
    scope text NOT NULL CHECK (scope IN ('read', 'submit', 'admin')),
    project text REFERENCES projects (name) ON DELETE CASCADE,
    parent_id uuid REFERENCES api_keys (id) ON DELETE CASCADE,
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_by text NOT NULL
);
-- Names stand in the audit log: of two keys that hold at once each has its own.
CREATE UNIQUE INDEX api_keys_name ON api_keys (name) WHERE parent_id IS NULL AND revoked_at IS NULL;
CREATE INDEX api_keys_prefix ON api_keys (prefix);
CREATE INDEX api_keys_parent ON api_keys (parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX api_keys_project ON api_keys (project) WHERE project IS NOT NULL;
COMMENT ON TABLE api_keys IS 'Keys of the HTTP API, and sessions of browsers, which are keys with a parent';
COMMENT ON COLUMN api_keys.id IS 'UUIDv7';
COMMENT ON COLUMN api_keys.name IS 'For people and the audit log; unique among keys that are not revoked; of a session that of its key';
COMMENT ON COLUMN api_keys.prefix IS 'The first 8 characters after jm_, by which a key is found and told from others';
COMMENT ON COLUMN api_keys.hash IS 'SHA-256 of the key, which itself is nowhere';
COMMENT ON COLUMN api_keys.scope IS 'What it may do: admin includes submit, which includes read';
COMMENT ON COLUMN api_keys.project IS 'The only project that it sees; null: all';
COMMENT ON COLUMN api_keys.parent_id IS 'Of a session: the key that it was given for and with which it ends';
COMMENT ON COLUMN api_keys.expires_at IS 'From then on it does not hold; null: never';
COMMENT ON COLUMN api_keys.last_used_at IS 'When it was last used, to the minute';
COMMENT ON COLUMN api_keys.revoked_at IS 'When it was revoked; null: it was not';
COMMENT ON COLUMN api_keys.created_at IS 'When it was made';
COMMENT ON COLUMN api_keys.created_by IS 'By whom: kind and name';

ALTER TABLE audit_log ADD COLUMN address text, ADD COLUMN request_id text, ADD COLUMN project text;
COMMENT ON COLUMN audit_log.address IS 'From where: address of the API''s client, host of the command line';
COMMENT ON COLUMN audit_log.request_id IS 'X-Request-Id of the request, as it stands in the log';
COMMENT ON COLUMN audit_log.project IS 'Project of what was changed; null: it belongs to none';
COMMENT ON COLUMN audit_log.object IS 'What was changed: schedule, calendar, job, lock, project, key, session, ...';
COMMENT ON COLUMN audit_log.object_id IS 'Id of what was changed; of a lock or calendar project/name, of a project its name';
COMMENT ON COLUMN audit_log.action IS 'What was done: create, update, delete, enable, cancel, revoke, ...';
UPDATE audit_log SET project = coalesce(after ->> 'project', before ->> 'project');
CREATE INDEX audit_log_project ON audit_log (project, id) WHERE project IS NOT NULL;
CREATE INDEX audit_log_actor ON audit_log (actor, id);
