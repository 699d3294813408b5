-- min_program_version: 0.1.0
-- Jobs submitted and looked for through the API: the request that a job came with, keys by which a request may be
-- repeated, sets of jobs in one call, metadata found whatever the case of its letters, and programs outside that run jobs.

SELECT set_config('search_path', current_setting('search_path') || ', pg_temp', true);

ALTER TABLE jobs ADD COLUMN request_id text;
COMMENT ON COLUMN jobs.request_id IS 'X-Request-Id of the request that submitted it; null for all that came by another way';

CREATE TABLE idempotency_keys (
    project text NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    job_ids uuid[] NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (project, key)
);
CREATE INDEX idempotency_keys_expires_at ON idempotency_keys (expires_at);
COMMENT ON TABLE idempotency_keys IS 'Idempotency-Key of requests that submitted jobs: the same key gives the same jobs for 24 hours';
COMMENT ON COLUMN idempotency_keys.project IS 'Project of the jobs';
COMMENT ON COLUMN idempotency_keys.key IS 'The key, as the client gave it';
COMMENT ON COLUMN idempotency_keys.fingerprint IS 'SHA-256 of the request''s body, by which another request under the same key is told';
COMMENT ON COLUMN idempotency_keys.job_ids IS 'The jobs that came of it, in the order of the request';
COMMENT ON COLUMN idempotency_keys.expires_at IS 'When the key may be used anew';

CREATE FUNCTION idempotency_claim(in_project text, in_key text, in_fingerprint bytea, in_ids uuid[]) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO idempotency_keys AS k (project, key, fingerprint, job_ids, expires_at)
    VALUES (in_project, in_key, in_fingerprint, in_ids, clock_timestamp() + interval '24 hours')
    ON CONFLICT (project, key) DO UPDATE
    SET fingerprint = excluded.fingerprint, job_ids = excluded.job_ids, expires_at = excluded.expires_at
    WHERE k.expires_at <= clock_timestamp() OR k.job_ids = excluded.job_ids;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the Idempotency-Key is in use' USING ERRCODE = 'JMI01';
    END IF;
END $$;
COMMENT ON FUNCTION idempotency_claim IS 'Claims an Idempotency-Key for jobs to be; an error (JMI01) while another request has it';

-- What has to be looked at one by one: an id, external id or dedup key that may be known, and jobs that wait for
-- others. All values have been checked as those of a message are. An error names the job in front of the field.
CREATE FUNCTION submit_set(ids uuid[], named boolean[], external_ids text[], projects text[], types text[], params jsonb[],
    messages jsonb[], run_ats timestamptz[], start_bys timestamptz[], actors text[], request_ids text[])
RETURNS TABLE (n integer, id uuid, existed boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
#variable_conflict use_variable
DECLARE
    message text;
    state text;
    field text;
    detail text;
    hint text;
BEGIN
    n := 0;
    FOR i IN 1..coalesce(cardinality(ids), 0) LOOP
        n := i;
        id := ids[i];
        existed := false;
        PERFORM submit_partition(ids[i]);
        IF external_ids[i] IS NOT NULL THEN
            id := submit_claim_key(projects[i], types[i], 'external_id', external_ids[i], ids[i]);
            IF id <> ids[i] THEN
                id := submit_known(id, projects[i], types[i], params[i]);
                existed := true;
            END IF;
        END IF;
        IF NOT existed AND messages[i] ? 'dedup_key' THEN
            id := submit_claim_key(projects[i], types[i], 'dedup_key', messages[i] ->> 'dedup_key', ids[i]);
            IF id <> ids[i] THEN -- this job comes to nothing and gives back what it claimed
                DELETE FROM dedup_keys d WHERE d.project = projects[i] AND d.type = types[i]
                    AND d.kind = 'external_id' AND d.key = external_ids[i] AND d.job_id = ids[i];
                existed := true;
            END IF;
        END IF;
        IF NOT existed THEN
            IF submit_insert(id, external_ids[i], projects[i], types[i], params[i], messages[i], run_ats[i], start_bys[i],
                actors[i], (messages[i] - 'queue')::text) THEN
                UPDATE jobs j SET request_id = request_ids[i] WHERE j.id = id AND request_ids[i] IS NOT NULL;
            ELSE -- of an id that was made for it, this is a repetition of its own submission
                id := submit_known(id, projects[i], types[i], params[i]);
                existed := named[i];
            END IF;
        END IF;
        RETURN NEXT;
    END LOOP;
EXCEPTION WHEN data_exception OR integrity_constraint_violation THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, state = RETURNED_SQLSTATE, field = COLUMN_NAME,
        detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RAISE EXCEPTION '%', message USING ERRCODE = state, COLUMN = n || '.' || coalesce(field, ''), DETAIL = detail,
        HINT = hint;
END $$;
COMMENT ON FUNCTION submit_set IS 'Submits jobs that have been checked, each for itself within one transaction: its id and whether it was there. An error names the number of the job, a dot and the field';
REVOKE EXECUTE ON FUNCTION submit_set, idempotency_claim FROM PUBLIC;

-- One index for equality and for beginnings, both whatever the case of letters.
DROP INDEX job_metadata_search;
CREATE INDEX job_metadata_search ON job_metadata (key, lower(left(value, 200)) COLLATE "C", job_id);
COMMENT ON COLUMN job_metadata.value IS 'Value as text; the index holds its first 200 characters in lower case';

-- Programs outside that run a job have a row like a worker's for each: its lease, and what they are fenced by.
ALTER TABLE workers DROP CONSTRAINT workers_kind_check;
ALTER TABLE workers ADD CONSTRAINT workers_kind_check CHECK (kind IN ('worker', 'producer', 'outside'));
COMMENT ON COLUMN workers.kind IS 'worker, producer, or outside: a program that has taken one job over the API';
COMMENT ON COLUMN workers.host IS 'Host name; of outside the actor that has taken the job';
