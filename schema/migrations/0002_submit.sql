-- min_program_version: 0.1.0
-- Jobs submitted by SQL, inside a transaction of the caller's own: submit() makes the checks of the job
-- message (docs/protocol.md) and the rows that a message would become.

-- What runs with the owner's rights must find nobody's temporary tables in front of its own.
SELECT set_config('search_path', current_setting('search_path') || ', pg_temp', true);
ALTER FUNCTION partition_ensure SET search_path FROM CURRENT;
REVOKE EXECUTE ON FUNCTION partition_ensure FROM PUBLIC;

-- BEGIN GENERATED from schema/job_fields.json by schema/generate.py
CREATE FUNCTION submit_fields() RETURNS TABLE (name text, kind text, min integer, max integer, supported boolean, pattern text)
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
        ('exclusive', 'string', 1, 200, false, ''),
        ('run_at', 'time', 0, 0, true, ''),
        ('start_by', 'time', 0, 0, true, ''),
        ('timeout_s', 'integer', 1, 31536000, true, ''),
        ('max_attempts', 'integer', 1, 1000, true, ''),
        ('dedup_key', 'string', 1, 200, true, ''),
        ('metadata', 'scalars', 1, 200, true, ''),
        ('callback_url', 'url', 8, 2000, false, '^https?://[!-~]+$'),
        ('depends_on', 'jobs', 0, 1000, false, '')
    ) AS f (name, kind, min, max, supported, pattern);
END;
COMMENT ON FUNCTION submit_fields IS 'The fields of the job message: characters, values or items allowed, whether this version takes it, what it must match';
-- END GENERATED

CREATE FUNCTION submit_refuse(reason text, field text, message text, hint text DEFAULT 'docs/protocol.md has the table of fields.',
    code text DEFAULT '22023') RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path FROM CURRENT AS $$
BEGIN
    RAISE EXCEPTION '%', message USING ERRCODE = code, DETAIL = 'reason: ' || reason, HINT = hint,
        COLUMN = field;
END $$;
COMMENT ON FUNCTION submit_refuse IS 'Raises the error of a submission that is refused; the detail is the reason a message would be a dead letter for';

CREATE FUNCTION submit_distance(a text, b text) RETURNS integer
LANGUAGE plpgsql IMMUTABLE SET search_path FROM CURRENT AS $$
DECLARE
    above integer[] := ARRAY(SELECT generate_series(0, length(b)));
    line integer[];
BEGIN
    FOR i IN 1..length(a) LOOP
        line := ARRAY[i];
        FOR j IN 1..length(b) LOOP
            line := line || least(above[j + 1] + 1, line[j] + 1,
                above[j] + (substr(a, i, 1) <> substr(b, j, 1))::integer);
        END LOOP;
        above := line;
    END LOOP;
    RETURN above[length(b) + 1];
END $$;
COMMENT ON FUNCTION submit_distance IS 'How many letters must be inserted, deleted or replaced to make one word of the other';

CREATE FUNCTION submit_time(field text, value text) RETURNS timestamptz
LANGUAGE plpgsql IMMUTABLE STRICT SET search_path FROM CURRENT AS $$
DECLARE
    part text[] := regexp_match(value, '^(\d{4}-\d\d-\d\d)[Tt ](([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60))(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)$');
BEGIN
    IF part IS NOT NULL THEN
        RETURN (part[1] || ' ' || part[2] || coalesce(left(part[5], 7), ''))::timestamp AT TIME ZONE 'UTC'
            - CASE WHEN part[6] IN ('Z', 'z') THEN '0' ELSE part[6] END::interval;
    END IF;
    PERFORM submit_refuse('bad_field', field,
        format('%s is not an RFC 3339 time such as 2026-11-22T14:30:00Z', field),
        'A jsonb option of a timestamptz t is to_jsonb(t).');
EXCEPTION WHEN datetime_field_overflow OR invalid_datetime_format THEN
    PERFORM submit_refuse('bad_field', field, format('%s is no date and time that exists', field));
END $$;
COMMENT ON FUNCTION submit_time IS 'An RFC 3339 time, or the error that says which field is none';

CREATE FUNCTION submit_check(field text, value jsonb) RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path FROM CURRENT AS $$
DECLARE
    f record;
    known text;
    is_a text := CASE jsonb_typeof(value) WHEN 'null' THEN 'null' WHEN 'array' THEN 'an array'
        WHEN 'object' THEN 'an object' ELSE 'a ' || jsonb_typeof(value) END;
    expected text;
    item record;
BEGIN
    SELECT * INTO f FROM submit_fields() s WHERE s.name = field;
    IF NOT FOUND OR field IN ('type', 'params') THEN
        IF starts_with(field, 'x-') THEN
            RETURN;
        END IF;
        SELECT s.name INTO known
        FROM (SELECT name FROM submit_fields() WHERE name NOT IN ('type', 'params') UNION ALL VALUES ('queue')) s
        WHERE submit_distance(lower(left(field, 64)), s.name) <= greatest(1, greatest(length(field), length(s.name)) / 3)
        ORDER BY submit_distance(lower(left(field, 64)), s.name) LIMIT 1;
        PERFORM submit_refuse('unknown_field', field, format('no option is called "%s"', field),
            CASE WHEN field IN ('type', 'params') THEN format('%s is an argument of its own.', field)
                WHEN known IS NOT NULL THEN format('The nearest is "%s".', known)
                ELSE 'What is yours belongs into params, metadata or a field that begins with x-.' END);
    END IF;
    expected := CASE f.kind WHEN 'integer' THEN 'number' WHEN 'scalars' THEN 'object' WHEN 'jobs' THEN 'array'
        ELSE 'string' END;
    IF jsonb_typeof(value) <> expected THEN
        PERFORM submit_refuse('bad_field', field, format('%s must be %s, not %s', field,
            CASE f.kind WHEN 'integer' THEN 'an integer' WHEN 'scalars' THEN 'an object' WHEN 'jobs' THEN 'a list'
                WHEN 'time' THEN 'a time' ELSE 'a string' END, is_a),
            CASE is_a WHEN 'null' THEN 'Leave it out instead.' ELSE 'docs/protocol.md has the table of fields.' END);
    END IF;
    IF NOT f.supported AND value <> '[]' THEN
        PERFORM submit_refuse('unsupported', field, format('%s is not supported yet', field), 'Leave it out.', '0A000');
    END IF;
    CASE
    WHEN f.kind = 'integer' THEN
        IF value::numeric % 1 <> 0 OR value::numeric NOT BETWEEN f.min AND f.max THEN
            PERFORM submit_refuse('bad_field', field,
                format('%s must be an integer from %s to %s', field, f.min, f.max));
        END IF;
    WHEN f.kind = 'scalars' THEN
        FOR item IN SELECT * FROM jsonb_each(value) LOOP
            IF length(item.key) NOT BETWEEN f.min AND f.max THEN
                PERFORM submit_refuse('bad_field', field || '.' || left(item.key, 60),
                    format('names in %s must have %s to %s characters', field, f.min, f.max));
            ELSIF jsonb_typeof(item.value) IN ('array', 'object') THEN
                PERFORM submit_refuse('bad_field', field || '.' || item.key,
                    format('%s.%s must be a string, number, boolean or null', field, item.key),
                    'params may hold it.');
            END IF;
        END LOOP;
    WHEN f.kind IN ('time', 'jobs') THEN
        NULL; -- submit_time reads it; depends_on is refused above
    ELSE
        IF length(value #>> '{}') NOT BETWEEN f.min AND f.max THEN
            PERFORM submit_refuse('bad_field', field,
                format('%s must have %s to %s characters, not %s', field, f.min, f.max, length(value #>> '{}')));
        ELSIF f.pattern <> '' AND value #>> '{}' !~ f.pattern THEN
            PERFORM submit_refuse('bad_field', field, format('%s does not match %s', field, f.pattern));
        END IF;
    END CASE;
END $$;
COMMENT ON FUNCTION submit_check IS 'Raises an error unless the option is one and its value is good; the checks of the job message';

CREATE FUNCTION submit_check_params(params jsonb, bytes integer) RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path FROM CURRENT AS $$
BEGIN
    IF bytes > 1048576 THEN
        PERFORM submit_refuse('too_large', 'params', format('the message has %s bytes; 1048576 are allowed', bytes),
            'Put the data elsewhere and its address into params.');
    END IF;
    -- 32 levels in the message, whose first is the message itself; params is the second.
    IF bytes > 62 AND jsonb_path_exists(params, 'strict $.**{31} ? (@.type() == "object" || @.type() == "array")', silent => true) THEN
        PERFORM submit_refuse('bad_json', 'params', 'params is nested deeper than 31 levels');
    END IF;
    IF bytes > 1000 AND EXISTS (
        SELECT FROM jsonb_path_query(params, 'strict $.** ? (@.type() == "number")', silent => true) AS n
        WHERE length(ltrim(n::text, '-')) > 1000) THEN
        PERFORM submit_refuse('bad_json', 'params', 'a number may have at most 1000 digits',
            'Write it as a string.');
    END IF;
END $$;
COMMENT ON FUNCTION submit_check_params IS 'Raises an error if a message with these params would be too large or too deep, or hold a number that is too long';

CREATE FUNCTION submit_partition(id uuid) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    at timestamptz := uuid7_time(id);
BEGIN
    -- Asked beforehand: to catch the error of the insert would cost a subtransaction a job.
    IF to_regclass('jobs_' || to_char(date_trunc('week', at AT TIME ZONE 'UTC'), 'YYYYMMDD')) IS NOT NULL THEN
        RETURN;
    END IF;
    IF at < (SELECT dropped_before FROM retention) THEN
        PERFORM submit_refuse('bad_time', 'id', 'the time in this UUIDv7 is older than what retention has dropped');
    END IF;
    PERFORM partition_ensure(at, at);
END $$;
COMMENT ON FUNCTION submit_partition IS 'Makes the partitions for a job''s id if they are missing';

CREATE FUNCTION submit_known(id uuid, project text, type text, params jsonb) RETURNS uuid
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
    RETURN id;
END $$;
COMMENT ON FUNCTION submit_known IS 'The id of a job that has been submitted before, if it is the same job';

CREATE FUNCTION submit_claim_key(project text, type text, kind text, key text, id uuid) RETURNS uuid
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
#variable_conflict use_variable
DECLARE
    has_it uuid;
BEGIN
    INSERT INTO dedup_keys AS d (project, type, kind, key, job_id, expires_at)
    VALUES (project, type, kind, key, id, clock_timestamp() + interval '24 hours')
    ON CONFLICT ON CONSTRAINT dedup_keys_pkey DO UPDATE
    SET job_id = excluded.job_id, expires_at = excluded.expires_at
    WHERE d.expires_at <= clock_timestamp() OR d.job_id = excluded.job_id
    RETURNING d.job_id INTO has_it;
    IF NOT FOUND THEN
        SELECT d.job_id INTO has_it FROM dedup_keys d
        WHERE d.project = project AND d.type = type AND d.kind = kind AND d.key = key;
    END IF;
    RETURN has_it;
END $$;
COMMENT ON FUNCTION submit_claim_key IS 'Claims an external id or dedup key for a job to be; returns the job that has it now';

CREATE FUNCTION submit_insert(id uuid, external_id text, project text, type text, params jsonb, options jsonb,
    run_at timestamptz, start_by timestamptz, submitted_by text, message text) RETURNS boolean
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
#variable_conflict use_variable
DECLARE
    queue text := coalesce(options ->> 'queue', 'default');
    priority smallint := coalesce((options ->> 'priority')::numeric, 4);
    at timestamptz := clock_timestamp();
    announced record;
    why text;
BEGIN
    SELECT t.max_attempts, t.searchable INTO announced FROM job_types t
    WHERE t.name = type ORDER BY t.announced_at DESC LIMIT 1;
    INSERT INTO jobs (id, external_id, project, type, queue, profile, params, max_attempts, timeout_s, priority,
        ordering_key, dedup_key, metadata, submitted_by, created_at, run_at, start_by, updated_at)
    VALUES (id, external_id, project, type, queue, options ->> 'profile', params,
        coalesce((options ->> 'max_attempts')::numeric, announced.max_attempts, 3),
        (options ->> 'timeout_s')::numeric, priority, options ->> 'key', options ->> 'dedup_key',
        options -> 'metadata', submitted_by, at, run_at, start_by, at)
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    -- What is due now goes through Kafka; what has to wait, or to be sorted by priority, does not.
    why := CASE WHEN run_at > at THEN 'run_at' WHEN priority <> 4 THEN 'priority' END;
    INSERT INTO pending_jobs (job_id, state, visible_at, queue, type, project, priority, start_by, reason, message)
    VALUES (id, CASE WHEN why IS NULL THEN 'unpublished' ELSE 'ready' END, greatest(run_at, at), queue, type,
        project, priority, start_by, why, CASE WHEN why IS NULL THEN message END);
    IF options ? 'metadata' AND announced.searchable <> '{}' THEN
        INSERT INTO job_metadata (job_id, key, value)
        SELECT id, m.key, m.value FROM jsonb_each_text(options -> 'metadata') m
        WHERE m.key = ANY (announced.searchable) AND m.value IS NOT NULL;
    END IF;
    RETURN true;
END $$;
COMMENT ON FUNCTION submit_insert IS 'The rows of a new job; false if its id exists';

CREATE FUNCTION submit_as(submitted_by text, type text, params jsonb DEFAULT '{}', options jsonb DEFAULT '{}')
RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
#variable_conflict use_variable
DECLARE
    project text;
    external_id text;
    named uuid;
    id uuid;
    has_it uuid;
    run_at timestamptz;
    start_by timestamptz;
    message jsonb;
    name text;
    value jsonb;
BEGIN
    params := coalesce(params, '{}');
    options := coalesce(options, '{}');
    IF type IS NULL THEN
        PERFORM submit_refuse('missing_field', 'type', 'type is missing: it says which job is to run');
    ELSIF type !~ '^[a-z0-9][a-z0-9._-]{0,99}$' THEN
        PERFORM submit_refuse('bad_field', 'type', 'type must be 1 to 100 lower-case letters, digits, ''.'', ''_'' and ''-'', the first one a letter or digit');
    ELSIF jsonb_typeof(params) <> 'object' THEN
        PERFORM submit_refuse('bad_field', 'params', 'params must be an object');
    ELSIF jsonb_typeof(options) <> 'object' THEN
        PERFORM submit_refuse('bad_field', 'options', 'options must be an object');
    END IF;
    IF options <> '{}' THEN
        FOR name, value IN SELECT o.key, o.value FROM jsonb_each(options) o LOOP
            IF name <> 'queue' THEN
                PERFORM submit_check(name, value);
            ELSIF jsonb_typeof(value) <> 'string' OR value #>> '{}' !~ '^[a-z0-9-]{1,63}$' THEN
                PERFORM submit_refuse('bad_field', name, 'queue must be 1 to 63 lower-case letters, digits and ''-''');
            END IF;
        END LOOP;
        run_at := submit_time('run_at', options ->> 'run_at');
        start_by := submit_time('start_by', options ->> 'start_by');
        IF start_by < run_at THEN
            PERFORM submit_refuse('bad_field', 'start_by', 'start_by is before run_at: the job could never start');
        END IF;
        IF options ->> 'id' ~* '^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$' THEN
            named := options ->> 'id';
            IF uuid7_time(named) > clock_timestamp() + interval '7 days' THEN
                PERFORM submit_refuse('bad_time', 'id', 'the time in this UUIDv7 is more than 7 days ahead');
            END IF;
        ELSE
            external_id := options ->> 'id';
        END IF;
    END IF;
    project := coalesce(options ->> 'project', 'default');
    IF NOT EXISTS (SELECT FROM projects p WHERE p.name = project) THEN
        PERFORM submit_refuse('unknown_project', 'project', format('there is no project "%s"', project),
            'Make it by jobmill project add NAME, or name one that is there');
    END IF;
    id := coalesce(named, uuid7());
    message := jsonb_build_object('type', type, 'id', coalesce(external_id, id::text))
        || (options - 'queue' - 'id');
    IF params <> '{}' THEN
        message := message || jsonb_build_object('params', params);
        PERFORM submit_check_params(params, octet_length(message::text));
    ELSIF options <> '{}' THEN
        PERFORM submit_check_params('{}', octet_length(message::text));
    END IF;
    PERFORM submit_partition(id);
    IF external_id IS NOT NULL THEN
        has_it := submit_claim_key(project, type, 'external_id', external_id, id);
        IF has_it <> id THEN
            RETURN submit_known(has_it, project, type, params);
        END IF;
    END IF;
    IF options ? 'dedup_key' THEN
        has_it := submit_claim_key(project, type, 'dedup_key', options ->> 'dedup_key', id);
        IF has_it <> id THEN -- this job comes to nothing and gives back what it claimed
            DELETE FROM dedup_keys d WHERE external_id IS NOT NULL AND d.project = project AND d.type = type
                AND d.kind = 'external_id' AND d.key = external_id AND d.job_id = id;
            RETURN has_it;
        END IF;
    END IF;
    IF NOT submit_insert(id, external_id, project, type, params, options, run_at, start_by, submitted_by,
        message::text) THEN
        RETURN submit_known(id, project, type, params);
    END IF;
    RETURN id;
END $$;
COMMENT ON FUNCTION submit_as IS 'As submit, with who submits: for the programs, which act for others';

CREATE FUNCTION submit(type text, params jsonb DEFAULT '{}', options jsonb DEFAULT '{}') RETURNS uuid
LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT
AS $$ SELECT submit_as('sql:' || session_user, type, params, options) $$;
COMMENT ON FUNCTION submit IS 'Submits a job exactly if the caller commits; returns its id. Options: the fields of the job message, and queue';

REVOKE EXECUTE ON FUNCTION submit, submit_as, submit_check, submit_check_params, submit_claim_key,
    submit_distance, submit_insert, submit_known, submit_partition, submit_refuse, submit_time FROM PUBLIC;
