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

-- The hint for a project that is not there: the command, not the table.
DO $$
BEGIN
    EXECUTE replace(pg_get_functiondef('submit_as(text, text, jsonb, jsonb)'::regprocedure),
                    'Insert it into the table projects, or', 'Make it by jobmill project add NAME, or');
END $$;
