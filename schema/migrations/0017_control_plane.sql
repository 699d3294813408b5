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

-- A job that is submitted again has the request that did it, and is a job of its schedule that no firing has made.
DROP FUNCTION job_retry(uuid, uuid, text);
CREATE FUNCTION job_retry(old_id uuid, new_id uuid, who text, request text DEFAULT NULL) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
#variable_conflict use_variable
DECLARE
    old jobs;
BEGIN
    SELECT * INTO old FROM jobs j WHERE j.id = old_id FOR SHARE;
    IF NOT FOUND OR EXISTS (SELECT FROM jobs j WHERE j.id = new_id AND j.retry_of = old_id) THEN
        RETURN CASE WHEN FOUND THEN new_id END;
    ELSIF old.status IN ('pending', 'running') THEN
        PERFORM submit_refuse('bad_state', 'id', format('the job is %s: only one that has ended can be retried', old.status),
            'Cancel it first, or wait until it has ended.');
    END IF;
    IF starts_with(old.type, 'jobmill.') THEN
        who := 'retry:' || who; -- which submit_insert lets pass
    END IF;
    PERFORM submit_as(who, old.type, old.params, jsonb_strip_nulls(jsonb_build_object('id', new_id, 'queue', old.queue,
        'profile', old.profile, 'project', old.project, 'priority', old.priority, 'key', old.ordering_key,
        'exclusive', old.exclusive, 'timeout_s', old.timeout_s, 'max_attempts', old.max_attempts,
        'callback_url', old.callback_url))
        || CASE WHEN old.metadata IS NULL THEN '{}' ELSE jsonb_build_object('metadata', old.metadata) END);
    PERFORM order_take_place(old_id, new_id);
    UPDATE jobs j SET retry_of = old_id, schedule_id = old.schedule_id, due_at = old.due_at,
        trace_context = old.trace_context, callback_of = old.callback_of,
        request_id = request
    WHERE j.id = new_id;
    -- Whatever the policy is: it may become skip before this is committed.
    IF old.schedule_id IS NOT NULL AND NOT job_backfilled(old_id) THEN
        INSERT INTO open_jobs (schedule_id, job_id) VALUES (old.schedule_id, new_id) ON CONFLICT DO NOTHING;
    END IF;
    RETURN new_id;
END $$;
COMMENT ON FUNCTION job_retry IS 'Submits an ended job again as a new one, under an id that the caller has made, for the request of the API with that X-Request-Id; null: there is no such job';
REVOKE EXECUTE ON FUNCTION job_retry FROM PUBLIC;
COMMENT ON COLUMN jobs.request_id IS 'X-Request-Id of the request that submitted it, or submitted it again; null for all that came by another way';
