-- min_program_version: 0.1.0
-- Jobs that end before they run: cancelled by request or for want of what they depend on; and what the
-- end of a job brings about: dependents that may go on, callbacks.

SELECT set_config('search_path', current_setting('search_path') || ', pg_temp', true);

ALTER TABLE jobs
    ADD COLUMN depends_on jsonb,
    ADD COLUMN has_dependents boolean,
    ADD COLUMN callback_of uuid,
    ADD COLUMN callback_status text,
    ADD COLUMN callback_error text;
COMMENT ON COLUMN jobs.depends_on IS 'As submitted: ids, or objects with external_id; what is still open is in job_dependencies';
COMMENT ON COLUMN jobs.has_dependents IS 'True once a job that waits for this one has been found while it was unfinished; who ends it looks after them';
COMMENT ON COLUMN jobs.callback_of IS 'Of a job of type jobmill.callback: the job whose end it reports';
COMMENT ON COLUMN jobs.callback_status IS 'How the callback ended: completed, failed, cancelled or expired; null before, and without callback_url';
COMMENT ON COLUMN jobs.callback_error IS 'Why the callback has not arrived, so far';
-- Neither column changes when a job completes.
CREATE INDEX jobs_cancel ON jobs (id) WHERE cancel_requested IS NOT NULL;
CREATE INDEX jobs_callback_of ON jobs (callback_of) WHERE callback_of IS NOT NULL;

ALTER TABLE job_types ADD COLUMN depends text NOT NULL DEFAULT 'completed' CHECK (depends IN ('completed', 'ended'));
COMMENT ON COLUMN job_types.depends IS 'What its jobs need of those they depend on: that they completed, or only that they ended';

CREATE TABLE job_dependencies (
    job_id uuid NOT NULL,
    n integer NOT NULL,
    parent_id uuid,
    project text NOT NULL,
    external_id text,
    since timestamptz NOT NULL DEFAULT clock_timestamp(),
    look_at timestamptz,
    PRIMARY KEY (job_id, n),
    CHECK (parent_id IS NOT NULL OR external_id IS NOT NULL)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX job_dependencies_parent ON job_dependencies (parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX job_dependencies_external_id ON job_dependencies (project, external_id) WHERE parent_id IS NULL;
CREATE INDEX job_dependencies_look_at ON job_dependencies (look_at) WHERE look_at IS NOT NULL;
COMMENT ON TABLE job_dependencies IS 'Open dependencies of waiting jobs; a row goes when its parent has ended';
COMMENT ON COLUMN job_dependencies.job_id IS 'The job that waits';
COMMENT ON COLUMN job_dependencies.n IS 'Place in its depends_on, from 1';
COMMENT ON COLUMN job_dependencies.parent_id IS 'The job it waits for; null: known by external_id alone so far';
COMMENT ON COLUMN job_dependencies.project IS 'Project of both';
COMMENT ON COLUMN job_dependencies.external_id IS 'External id by which the parent was named';
COMMENT ON COLUMN job_dependencies.since IS 'Since when it waits';
COMMENT ON COLUMN job_dependencies.look_at IS 'When to look for a parent that is not there yet; null: it is there';

-- ---- callbacks ----

CREATE FUNCTION callback_id(job_id uuid, ended_at timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (overlay(overlay(overlay(md5('jobmill callback ' || job_id)
        PLACING left(replace(uuid7_floor(ended_at)::text, '-', ''), 12) FROM 1)
        PLACING '7' FROM 13) PLACING '8' FROM 17))::uuid;
COMMENT ON FUNCTION callback_id IS 'Id of the job that reports the end of a job: always the same for the same end';

CREATE FUNCTION job_call(job jobs) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
#variable_conflict use_variable
DECLARE
    id uuid;
    over boolean := job.status IN ('completed', 'failed', 'cancelled', 'expired');
BEGIN
    IF job.callback_of IS NOT NULL AND job.status <> 'running' THEN
        UPDATE jobs j
        SET callback_status = CASE WHEN over THEN job.status ELSE j.callback_status END,
            callback_error = CASE WHEN job.status <> 'completed' THEN job.error END
        WHERE j.id = job.callback_of;
    END IF;
    IF job.callback_url IS NULL OR NOT over THEN
        RETURN NULL;
    END IF;
    id := callback_id(job.id, job.completed_at);
    PERFORM submit_partition(id);
    INSERT INTO jobs (id, project, type, queue, params, max_attempts, trace_context, submitted_by, callback_of)
    VALUES (id, job.project, 'jobmill.callback', job.queue, jsonb_build_object('url', job.callback_url, 'job',
            jsonb_build_object('id', job.id, 'type', job.type, 'project', job.project, 'status', job.status,
                'error', job.error, 'result', job.result, 'metadata', job.metadata, 'external_id', job.external_id,
                'attempt', job.attempt, 'created_at', job.created_at, 'started_at', job.started_at,
                'completed_at', job.completed_at, 'duration_ms', job.duration_ms)),
        coalesce((SELECT t.max_attempts FROM job_types t WHERE t.name = 'jobmill.callback'
                  ORDER BY t.announced_at DESC LIMIT 1), 10),
        job.trace_context, 'callback', job.id)
    ON CONFLICT DO NOTHING;
    IF FOUND THEN
        INSERT INTO pending_jobs (job_id, state, queue, type, project, reason)
        VALUES (id, 'ready', job.queue, 'jobmill.callback', job.project, 'callback');
    END IF;
    RETURN id;
END $$;
COMMENT ON FUNCTION job_call IS 'What the end of a job means for callbacks: makes the job that reports it, or notes on another that it has been reported. For whoever ends jobs, with the row as it is then';

-- ---- the end of a waiting job ----

CREATE FUNCTION job_cancel_text(asked jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 'cancelled' || coalesce(' by ' || left(asked ->> 'by', 200), ' on request')
    || coalesce(': ' || left(nullif(asked ->> 'reason', ''), 1000), '');
COMMENT ON FUNCTION job_cancel_text IS 'A request to cancel in words: who asked, and why';

CREATE TABLE unannounced (
    job_id uuid PRIMARY KEY
);
COMMENT ON TABLE unannounced IS 'Jobs that ended with no worker to tell it: the event about each is still to be published';
COMMENT ON COLUMN unannounced.job_id IS 'The job';

CREATE FUNCTION job_end_pending(job_id uuid, ends text, why text, asked jsonb DEFAULT NULL) RETURNS jobs
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
#variable_conflict use_variable
DECLARE
    job jobs;
    at timestamptz := clock_timestamp();
BEGIN
    PERFORM FROM pending_jobs p WHERE p.job_id = job_id FOR UPDATE;
    UPDATE jobs j
    SET status = ends, outcome = ends, completed_at = at, updated_at = at,
        cancel_requested = coalesce(j.cancel_requested, asked),
        error = coalesce(why, job_cancel_text(coalesce(j.cancel_requested, asked)))
    WHERE j.id = job_id AND j.status = 'pending'
    RETURNING j.* INTO job;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    DELETE FROM pending_jobs p WHERE p.job_id = job_id;
    DELETE FROM job_dependencies d WHERE d.job_id = job_id;
    INSERT INTO unannounced (job_id) VALUES (job_id) ON CONFLICT DO NOTHING;
    INSERT INTO job_logs (job_id, attempt, seq, ts, level, message)
    VALUES (job_id, job.attempt, 1500000000, at, 'WARNING', job.error)
    ON CONFLICT DO NOTHING;
    INSERT INTO job_stats (hour, project, type, schedule_id, status, jobs, duration_ms)
    VALUES (date_trunc('hour', at), job.project, job.type, job.schedule_id, ends, 1, 0);
    DELETE FROM dedup_keys d
    WHERE job.dedup_key IS NOT NULL AND d.project = job.project AND d.type = job.type
        AND d.kind = 'dedup_key' AND d.key = job.dedup_key AND d.job_id = job_id;
    IF job.callback_url IS NOT NULL OR job.callback_of IS NOT NULL THEN
        PERFORM job_call(job);
    END IF;
    RETURN job;
END $$;
COMMENT ON FUNCTION job_end_pending IS 'Ends a job that has not started, with everything that goes with it; null: it is not pending any more';

CREATE FUNCTION job_cancel(job_id uuid, who text, reason text, OUT fate text, OUT has_dependents boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
#variable_conflict use_variable
DECLARE
    job jobs;
    asked jsonb := jsonb_strip_nulls(jsonb_build_object('by', who, 'reason', nullif(reason, ''), 'at', clock_timestamp()));
BEGIN
    has_dependents := false;
    job := job_end_pending(job_id, 'cancelled', NULL, asked);
    IF job.id IS NULL THEN
        UPDATE jobs j SET cancel_requested = coalesce(j.cancel_requested, asked), updated_at = clock_timestamp()
        WHERE j.id = job_id AND j.status = 'running';
        IF FOUND THEN
            fate := 'requested';
            RETURN;
        END IF;
        -- It may have been handed back or ended since.
        job := job_end_pending(job_id, 'cancelled', NULL, asked);
        IF job.id IS NULL THEN
            SELECT 'ended: ' || j.status INTO fate FROM jobs j WHERE j.id = job_id;
            RETURN;
        END IF;
    END IF;
    fate := 'cancelled';
    has_dependents := coalesce(job.has_dependents, false);
END $$;
COMMENT ON FUNCTION job_cancel IS 'Cancels a job: fate is cancelled (it had not started), requested (its worker will stop it), ended: and how (too late), or null (there is no such job)';

CREATE FUNCTION job_retry(old_id uuid, new_id uuid, who text) RETURNS uuid
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
        trace_context = old.trace_context, callback_of = old.callback_of
    WHERE j.id = new_id;
    RETURN new_id;
END $$;
COMMENT ON FUNCTION job_retry IS 'Submits an ended job again as a new one, under an id that the caller has made; null: there is no such job';

-- ---- dependencies ----

CREATE FUNCTION dependency_cycle(job_id uuid, project text, external_id text) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path FROM CURRENT AS $$
#variable_conflict use_variable
BEGIN
    -- A circle leads back to this job: mostly nobody waits for it, and that is all there is to see.
    IF NOT EXISTS (SELECT FROM job_dependencies d WHERE d.parent_id = job_id)
        AND NOT EXISTS (SELECT FROM job_dependencies d
                        WHERE d.parent_id IS NULL AND d.project = project AND d.external_id = external_id) THEN
        RETURN false;
    END IF;
    RETURN EXISTS (
        WITH RECURSIVE reached (id, by_name) AS (
            SELECT d.parent_id, NULL::text FROM job_dependencies d WHERE d.job_id = job_id AND d.parent_id IS NOT NULL
            UNION
            SELECT d.parent_id, CASE WHEN d.parent_id IS NULL THEN d.external_id END
            FROM reached r JOIN job_dependencies d ON d.job_id = r.id
        )
        SELECT FROM reached r WHERE r.id = job_id OR r.by_name = external_id);
END $$;
COMMENT ON FUNCTION dependency_cycle IS 'Whether a job waits, by way of others, for itself';

CREATE FUNCTION dependencies_settle(ids uuid[], wait_s integer, parents uuid[])
RETURNS TABLE (id uuid, fate text, queue text, has_dependents boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
#variable_conflict use_variable
DECLARE
    job record;
    dep record;
    parent record;
    found_id uuid;
    late boolean;
    why text;
    needs text;
    ended jobs;
    at timestamptz := clock_timestamp();
BEGIN
    PERFORM FROM pending_jobs p WHERE p.job_id = ANY (ids) ORDER BY p.job_id FOR UPDATE;
    FOREACH id IN ARRAY ids LOOP
        SELECT j.project, j.external_id, j.type, j.queue, j.run_at, j.status INTO job
        FROM jobs j WHERE j.id = id;
        IF job.status IS DISTINCT FROM 'pending' THEN -- cancelled, expired or deleted meanwhile
            DELETE FROM job_dependencies d WHERE d.job_id = id;
            CONTINUE;
        END IF;
        queue := job.queue;
        has_dependents := false;
        why := NULL;
        late := false;
        needs := NULL;
        FOR dep IN SELECT d.* FROM job_dependencies d
                   WHERE d.job_id = id AND (parents IS NULL OR d.parent_id = ANY (parents)) ORDER BY d.n LOOP
            found_id := dep.parent_id;
            IF found_id IS NULL THEN
                SELECT j.id INTO found_id FROM jobs j
                WHERE j.external_id = dep.external_id AND j.project = dep.project AND j.id <> id
                ORDER BY j.id DESC LIMIT 1;
            END IF;
            UPDATE jobs j SET has_dependents = true
            WHERE j.id = found_id AND j.project = dep.project AND j.status IN ('pending', 'running')
                AND j.has_dependents IS NULL;
            -- Found for the first time, it may not end unseen before this commits: then it would settle
            -- its dependents without seeing this one.
            IF dep.look_at IS NOT NULL THEN
                SELECT j.status INTO parent FROM jobs j WHERE j.id = found_id AND j.project = dep.project FOR SHARE;
            ELSE
                SELECT j.status INTO parent FROM jobs j WHERE j.id = found_id AND j.project = dep.project;
            END IF;
            IF parent.status IS NULL THEN
                IF dep.since + make_interval(secs => wait_s) < at THEN
                    why := format('it depends on job %s, which did not appear within %s s',
                        coalesce(dep.parent_id::text, dep.external_id), wait_s);
                    EXIT;
                END IF;
                UPDATE job_dependencies d
                SET look_at = at + least(greatest(at - d.since, interval '1 second'), interval '1 minute')
                WHERE d.job_id = id AND d.n = dep.n;
            ELSIF parent.status IN ('pending', 'running') THEN
                IF dep.look_at IS NOT NULL THEN
                    late := wait_s IS NOT NULL; -- when it is submitted, job_depend looks
                    UPDATE job_dependencies d SET parent_id = found_id, look_at = NULL
                    WHERE d.job_id = id AND d.n = dep.n;
                END IF;
            ELSE
                IF parent.status <> 'completed' AND needs IS NULL THEN
                    needs := coalesce((SELECT t.depends FROM job_types t WHERE t.name = job.type
                                       ORDER BY t.announced_at DESC LIMIT 1), 'completed');
                END IF;
                IF parent.status <> 'completed' AND needs = 'completed' THEN
                    why := format('it depends on job %s, which is %s', found_id, parent.status);
                    EXIT;
                END IF;
                DELETE FROM job_dependencies d WHERE d.job_id = id AND d.n = dep.n;
            END IF;
        END LOOP;
        IF why IS NULL AND late AND dependency_cycle(id, job.project, job.external_id) THEN
            why := 'its depends_on leads back to itself';
        END IF;
        SELECT coalesce(d.parent_id::text, d.external_id) AS name INTO dep
        FROM job_dependencies d WHERE d.job_id = id ORDER BY d.n LIMIT 1;
        IF why IS NOT NULL THEN
            ended := job_end_pending(id, 'cancelled', 'cancelled: ' || why,
                jsonb_build_object('by', 'depends_on', 'reason', why, 'at', at));
            fate := 'cancelled';
            has_dependents := coalesce(ended.has_dependents, false);
        ELSIF FOUND THEN
            UPDATE pending_jobs p SET visible_at = 'infinity', due_at = CASE WHEN p.lock_name IS NOT NULL THEN 'infinity' END::timestamptz,
                reason = 'waits for job ' || dep.name
            WHERE p.job_id = id AND (p.visible_at, p.reason) IS DISTINCT FROM ('infinity', 'waits for job ' || dep.name);
            fate := 'waits';
        ELSE
            UPDATE pending_jobs p SET visible_at = greatest(job.run_at, at),
                due_at = CASE WHEN p.lock_name IS NOT NULL THEN greatest(job.run_at, at) END,
                reason = CASE WHEN job.run_at > at THEN 'run_at' ELSE 'what it depends on has ended' END
            WHERE p.job_id = id;
            fate := 'ready';
        END IF;
        RETURN NEXT;
    END LOOP;
END $$;
COMMENT ON FUNCTION dependencies_settle IS 'Looks at jobs that wait for others: starts those whose parents have ended as they need it, cancels those that can never start. wait_s: how long for a parent that is not there (null: for ever); parents: only at these (null: at all)';

CREATE FUNCTION job_depend(job_id uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
#variable_conflict use_variable
DECLARE
    uuid7_text constant text := '^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$';
    job record;
    item record;
    name text;
BEGIN
    SELECT j.project, j.external_id, j.depends_on INTO job FROM jobs j WHERE j.id = job_id;
    IF jsonb_array_length(job.depends_on) > 1000 THEN
        PERFORM submit_refuse('bad_field', 'depends_on', format('depends_on may name at most 1000 jobs, not %s',
            jsonb_array_length(job.depends_on)), 'Let a job in between wait for some of them.');
    END IF;
    FOR item IN SELECT o.value, o.n FROM jsonb_array_elements(job.depends_on) WITH ORDINALITY AS o (value, n) LOOP
        name := CASE jsonb_typeof(item.value) WHEN 'string' THEN item.value #>> '{}'
            WHEN 'object' THEN CASE WHEN jsonb_typeof(item.value -> 'external_id') = 'string'
                AND item.value - 'external_id' = '{}' THEN item.value ->> 'external_id' END END;
        IF name IS NULL OR length(name) NOT BETWEEN 1 AND 128
            OR (jsonb_typeof(item.value) = 'string' AND name !~* uuid7_text) THEN
            PERFORM submit_refuse('bad_field', format('depends_on[%s]', item.n - 1),
                format('depends_on[%s] must be the id of a job (a UUIDv7) or {"external_id": ...}', item.n - 1));
        END IF;
        IF name = job.external_id AND jsonb_typeof(item.value) = 'object'
            OR lower(name) = job_id::text AND jsonb_typeof(item.value) = 'string' THEN
            PERFORM submit_refuse('bad_field', 'depends_on', 'depends_on leads back to the job itself',
                'Leave it out.');
        END IF;
        INSERT INTO job_dependencies (job_id, n, parent_id, project, external_id, look_at)
        VALUES (job_id, item.n, CASE jsonb_typeof(item.value) WHEN 'string' THEN name::uuid END, job.project,
            CASE jsonb_typeof(item.value) WHEN 'object' THEN name END, clock_timestamp());
    END LOOP;
    IF dependency_cycle(job_id, job.project, job.external_id) THEN
        PERFORM submit_refuse('bad_field', 'depends_on', 'depends_on leads back to the job itself, by way of others',
            'Jobs that wait for each other never start.');
    END IF;
    PERFORM dependencies_settle(ARRAY[job_id], NULL, NULL);
    -- Named by external id, its parents have only now been found.
    IF dependency_cycle(job_id, job.project, job.external_id) THEN
        PERFORM submit_refuse('bad_field', 'depends_on', 'depends_on leads back to the job itself, by way of others',
            'Jobs that wait for each other never start.');
    END IF;
END $$;
COMMENT ON FUNCTION job_depend IS 'Makes a new job wait for what its depends_on names; raises the error of a submission that is refused';

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
        ('callback_url', 'url', 8, 2000, true, '^https?://[!-~]+$'),
        ('depends_on', 'jobs', 0, 1000, true, '')
    ) AS f (name, kind, min, max, supported, pattern);
END;
COMMENT ON FUNCTION submit_fields IS 'The fields of the job message: characters, values or items allowed, whether this version takes it, what it must match';
-- END GENERATED

CREATE OR REPLACE FUNCTION submit_known(id uuid, project text, type text, params jsonb) RETURNS uuid
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
#variable_conflict use_variable
DECLARE
    job record;
BEGIN
    SELECT j.project, j.type, j.params INTO job FROM jobs j WHERE j.id = id;
    IF FOUND AND (job.project, job.type, job.params) IS DISTINCT FROM (project, type, params) THEN
        PERFORM submit_refuse('id_conflict', 'id', format('a job with this id exists (%s) and has another type, project or params', id),
            'Give each job an id of its own, or none.', '23505');
    END IF;
    -- Submitted again after it had failed, it has claimed a key that its end had released.
    DELETE FROM dedup_keys d USING jobs j
    WHERE j.id = id AND j.outcome IS NOT NULL AND d.project = j.project AND d.type = j.type
        AND d.kind = 'dedup_key' AND d.key = j.dedup_key AND d.job_id = j.id;
    RETURN id;
END $$;

CREATE OR REPLACE FUNCTION submit_insert(id uuid, external_id text, project text, type text, params jsonb, options jsonb,
    run_at timestamptz, start_by timestamptz, submitted_by text, message text) RETURNS boolean
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
#variable_conflict use_variable
DECLARE
    queue text := coalesce(options ->> 'queue', 'default');
    priority smallint := coalesce((options ->> 'priority')::numeric, 4);
    at timestamptz := clock_timestamp();
    depends_on jsonb := nullif(options -> 'depends_on', '[]');
    announced record;
    lock record;
    why text;
BEGIN
    IF starts_with(type, 'jobmill.') AND NOT starts_with(submitted_by, 'retry:') THEN
        PERFORM submit_refuse('bad_field', 'type', 'types that begin with "jobmill." are jobmill''s own',
            'Give the type another name.');
    END IF;
    SELECT t.max_attempts, t.searchable, t.ordered INTO announced FROM job_types t
    WHERE t.name = type ORDER BY t.announced_at DESC LIMIT 1;
    IF announced.ordered AND options ? 'key' AND options ? 'exclusive' THEN
        PERFORM submit_refuse('bad_field', 'exclusive', format('type %s orders its jobs by key, and a job holds one lock at most', type),
            'Leave out key or exclusive.');
    END IF;
    INSERT INTO jobs (id, external_id, project, type, queue, profile, params, max_attempts, timeout_s, priority,
        ordering_key, exclusive, dedup_key, metadata, callback_url, depends_on, submitted_by, created_at, run_at, start_by,
        updated_at)
    VALUES (id, external_id, project, type, queue, options ->> 'profile', params,
        coalesce((options ->> 'max_attempts')::numeric, announced.max_attempts, 3),
        (options ->> 'timeout_s')::numeric, priority, options ->> 'key', options ->> 'exclusive', options ->> 'dedup_key',
        options -> 'metadata', options ->> 'callback_url', depends_on, submitted_by, at, run_at, start_by, at)
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    -- What is due now goes through Kafka; what has to wait, or to be sorted by priority or key, does not.
    SELECT l.* INTO lock FROM lock_of(type, options ->> 'key', options ->> 'exclusive', announced.ordered) l;
    why := CASE WHEN depends_on IS NOT NULL THEN 'depends_on' WHEN run_at > at THEN 'run_at'
        WHEN lock.ordered THEN 'its place in its key'
        WHEN lock.lock_name IS NOT NULL THEN 'waits for lock ' || lock.lock_name WHEN priority <> 4 THEN 'priority' END;
    INSERT INTO pending_jobs (job_id, state, visible_at, due_at, queue, type, project, priority, start_by, lock_name,
        ordered, reason, message)
    VALUES (id, CASE WHEN why IS NULL THEN 'unpublished' ELSE 'ready' END, greatest(run_at, at),
        CASE WHEN lock.lock_name IS NOT NULL THEN greatest(run_at, at) END, queue, type, project, priority, start_by,
        lock.lock_name, lock.ordered, why, CASE WHEN why IS NULL THEN message END);
    IF options ? 'metadata' AND announced.searchable <> '{}' THEN
        INSERT INTO job_metadata (job_id, key, value)
        SELECT id, m.key, m.value FROM jsonb_each_text(options -> 'metadata') m
        WHERE m.key = ANY (announced.searchable) AND m.value IS NOT NULL;
    END IF;
    IF depends_on IS NOT NULL THEN
        PERFORM job_depend(id);
    END IF;
    RETURN true;
END $$;

REVOKE EXECUTE ON FUNCTION job_call, job_end_pending, job_cancel, job_retry, job_depend, dependencies_settle, dependency_cycle
    FROM PUBLIC;
