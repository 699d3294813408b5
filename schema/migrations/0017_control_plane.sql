-- min_program_version: 0.1.0
-- Names of keys are a project's own: what another project calls its keys is nobody else's to know. Where two keys may have
-- one name, an Idempotency-Key belongs to the project of who asks as well.

SELECT set_config('search_path', current_setting('search_path') || ', pg_temp', true);

DROP INDEX api_keys_name;
CREATE UNIQUE INDEX api_keys_name ON api_keys (coalesce(project, ''), name) WHERE parent_id IS NULL AND revoked_at IS NULL;
COMMENT ON COLUMN api_keys.name IS 'For people and the audit log; unique among the keys of its project (and among those of all) that are not revoked; of a session that of its key';

ALTER TABLE request_replays ADD COLUMN project text NOT NULL DEFAULT '',
    DROP CONSTRAINT request_replays_pkey,
    ADD PRIMARY KEY (actor, project, key);
COMMENT ON COLUMN request_replays.project IS 'The only project that who asked sees; empty: all';

-- A callback_url has a host.
-- BEGIN GENERATED from schema/job_fields.json by schema/generate.py
CREATE OR REPLACE FUNCTION submit_fields() RETURNS TABLE (name text, kind text, min integer, max integer, supported boolean, pattern text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT * FROM (VALUES
        ('type', 'name', 1, 100, true, '^[a-z0-9][a-z0-9._-]{0,99}$'),
        ('id', 'id', 1, 128, true, ''),
        ('params', 'object', 0, 0, true, ''),
        ('profile', 'string', 1, 100, true, ''),
        ('project', 'name', 1, 100, true, '^[a-z0-9][a-z0-9._-]{0,99}$'),
        ('priority', 'integer', 0, 9, true, ''),
        ('key', 'string', 1, 200, true, ''),
        ('exclusive', 'string', 1, 200, true, '^(?!order:)'),
        ('run_at', 'time', 0, 0, true, ''),
        ('start_by', 'time', 0, 0, true, ''),
        ('timeout_s', 'integer', 1, 31536000, true, ''),
        ('max_attempts', 'integer', 1, 1000, true, ''),
        ('dedup_key', 'string', 1, 200, true, ''),
        ('metadata', 'scalars', 1, 200, true, ''),
        ('callback_url', 'url', 8, 2000, true, '^https?://([A-Za-z0-9._~%-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{0,5})?([/?#][!-~]*)?$'),
        ('depends_on', 'jobs', 0, 1000, true, '')
    ) AS f (name, kind, min, max, supported, pattern);
END;
COMMENT ON FUNCTION submit_fields IS 'The fields of the job message: characters, values or items allowed, whether this version takes it, what it must match';
-- END GENERATED

-- The hint for a project that is not there: the command, not the table.
DO $$
BEGIN
    EXECUTE replace(pg_get_functiondef('submit_as(text, text, jsonb, jsonb)'::regprocedure),
                    'Insert it into the table projects, or', 'Make it by jobmill project add NAME, or');
END $$;
