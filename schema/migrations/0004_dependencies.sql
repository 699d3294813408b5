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

-- ---- the end of a waiting job ----

CREATE FUNCTION job_cancel_text(asked jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 'cancelled' || coalesce(' by ' || left(asked ->> 'by', 200), ' on request')
    || coalesce(': ' || left(nullif(asked ->> 'reason', ''), 1000), '');
COMMENT ON FUNCTION job_cancel_text IS 'A request to cancel in words: who asked, and why';

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
    INSERT INTO job_logs (job_id, attempt, seq, ts, level, message)
    VALUES (job_id, job.attempt, 1500000000, at, 'WARNING', job.error)
    ON CONFLICT DO NOTHING;
    INSERT INTO job_stats (hour, project, type, schedule_id, status, jobs, duration_ms)
    VALUES (date_trunc('hour', at), job.project, job.type, job.schedule_id, ends, 1, 0);
    DELETE FROM dedup_keys d
    WHERE job.dedup_key IS NOT NULL AND d.project = job.project AND d.type = job.type
        AND d.kind = 'dedup_key' AND d.key = job.dedup_key AND d.job_id = job_id;
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
    PERFORM submit_as(who, old.type, old.params, jsonb_strip_nulls(jsonb_build_object('id', new_id, 'queue', old.queue,
        'profile', old.profile, 'project', old.project, 'priority', old.priority, 'key', old.ordering_key,
        'exclusive', old.exclusive, 'timeout_s', old.timeout_s, 'max_attempts', old.max_attempts,
        'callback_url', old.callback_url))
        || CASE WHEN old.metadata IS NULL THEN '{}' ELSE jsonb_build_object('metadata', old.metadata) END);
    UPDATE jobs j SET retry_of = old_id, schedule_id = old.schedule_id, due_at = old.due_at,
        trace_context = old.trace_context, callback_of = old.callback_of
    WHERE j.id = new_id;
    RETURN new_id;
END $$;
COMMENT ON FUNCTION job_retry IS 'Submits an ended job again as a new one, under an id that the caller has made; null: there is no such job';

REVOKE EXECUTE ON FUNCTION job_end_pending, job_cancel, job_retry FROM PUBLIC;
