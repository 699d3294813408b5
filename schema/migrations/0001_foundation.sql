-- min_program_version: 0.1.0
-- The tables of jobmill. Runs inside one transaction with search_path set to jobmill's schema.

-- Time bounds as ids: UUIDv7 carries its millisecond in front, so ranges of ids are ranges of time.
CREATE FUNCTION uuid7_floor(at timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (lpad(to_hex(greatest((extract(epoch FROM at) * 1000)::bigint, 0)), 12, '0') || '00000000000000000000')::uuid;
COMMENT ON FUNCTION uuid7_floor IS 'The smallest UUIDv7 of that millisecond: a bound for scans by time';

CREATE FUNCTION uuid7_time(id uuid) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN to_timestamp(('x' || lpad(left(replace(id::text, '-', ''), 12), 16, '0'))::bit(64)::bigint / 1000.0);
COMMENT ON FUNCTION uuid7_time IS 'The time in a UUIDv7, to the millisecond';

CREATE FUNCTION uuid7() RETURNS uuid
LANGUAGE sql VOLATILE PARALLEL SAFE
RETURN (overlay(overlay(
    lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0')
    || right(replace(gen_random_uuid()::text, '-', ''), 20)
    PLACING '7' FROM 13) PLACING substr('89ab', 1 + (random() * 3)::int, 1) FROM 17))::uuid;
COMMENT ON FUNCTION uuid7 IS 'A new UUIDv7 by the clock of this server';

CREATE TABLE projects (
    name text PRIMARY KEY CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,99}$'),
    description text,
    min_interval_s integer NOT NULL DEFAULT 1 CHECK (min_interval_s >= 1),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE projects IS 'Tenants: every job and schedule belongs to one';
COMMENT ON COLUMN projects.name IS 'Name, as it stands in messages';
COMMENT ON COLUMN projects.description IS 'For people';
COMMENT ON COLUMN projects.min_interval_s IS 'Shortest interval, in seconds, that an interval schedule of this project may have';
COMMENT ON COLUMN projects.created_at IS 'When it was made';
COMMENT ON COLUMN projects.updated_at IS 'When it was last changed';
INSERT INTO projects (name, description) VALUES ('default', 'Where jobs go that name no project');

CREATE TABLE jobs (
    id uuid NOT NULL,
    external_id text,
    project text NOT NULL DEFAULT 'default',
    type text NOT NULL,
    queue text NOT NULL DEFAULT 'default',
    profile text,
    params jsonb NOT NULL DEFAULT '{}',
    status text NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending', 'running', 'completed', 'failed', 'cancelled', 'expired')),
    outcome text CHECK (outcome IN ('failed', 'cancelled', 'expired')),
    attempt integer NOT NULL DEFAULT 0,
    max_attempts integer NOT NULL DEFAULT 3,
    timeout_s integer,
    priority smallint NOT NULL DEFAULT 4 CHECK (priority BETWEEN 0 AND 9),
    ordering_key text,
    exclusive text,
    schedule_id uuid,
    due_at timestamptz,
    retry_of uuid,
    dedup_key text,
    metadata jsonb,
    callback_url text,
    trace_context text,
    submitted_by text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    run_at timestamptz,
    start_by timestamptz,
    started_at timestamptz,
    completed_at timestamptz,
    duration_ms bigint,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    worker_id uuid,
    cancel_requested jsonb,
    progress jsonb,
    items_total bigint,
    items_ok bigint,
    items_failed bigint,
    result jsonb,
    error text,
    errors jsonb,
    PRIMARY KEY (id)
) PARTITION BY RANGE (id);
-- No index and no predicate here names a column that completing a job changes, so that the update that
-- ends a job stays heap-only (HOT). outcome stays null when a job completes.
CREATE INDEX jobs_project ON jobs (project, id);
CREATE INDEX jobs_type ON jobs (type, id);
CREATE INDEX jobs_schedule ON jobs (schedule_id, id) WHERE schedule_id IS NOT NULL;
CREATE INDEX jobs_external_id ON jobs (external_id, id) WHERE external_id IS NOT NULL;
CREATE INDEX jobs_outcome ON jobs (outcome, id) WHERE outcome IS NOT NULL;
COMMENT ON TABLE jobs IS 'One row a job, for its whole life; partitioned by the week of its id';
COMMENT ON COLUMN jobs.id IS 'UUIDv7';
COMMENT ON COLUMN jobs.external_id IS 'The submitter''s own id, unique in project and type within the dedup window';
COMMENT ON COLUMN jobs.project IS 'Tenant';
COMMENT ON COLUMN jobs.type IS 'Which job type is run';
COMMENT ON COLUMN jobs.queue IS 'Queue, and so topic, it belongs to';
COMMENT ON COLUMN jobs.profile IS 'Named set of default params of the type, merged under params when it runs';
COMMENT ON COLUMN jobs.params IS 'As submitted';
COMMENT ON COLUMN jobs.status IS 'pending, running, completed, failed, cancelled or expired; the last four are for ever';
COMMENT ON COLUMN jobs.outcome IS 'Null, or failed, cancelled, expired: what the listings of jobs that went wrong look at';
COMMENT ON COLUMN jobs.attempt IS 'Number of the last start; rises with every claim, never reused';
COMMENT ON COLUMN jobs.max_attempts IS 'The attempt with this number is the last';
COMMENT ON COLUMN jobs.timeout_s IS 'Seconds an attempt may take; null: as the type says';
COMMENT ON COLUMN jobs.priority IS '0 to 9, higher first among waiting jobs';
COMMENT ON COLUMN jobs.ordering_key IS 'Key within which a type that orders runs its jobs one after the other';
COMMENT ON COLUMN jobs.exclusive IS 'At most one job of this name in the project runs at a time';
COMMENT ON COLUMN jobs.schedule_id IS 'Schedule that fired it; null when submitted, or when the schedule is gone';
COMMENT ON COLUMN jobs.due_at IS 'The instant of the schedule that it stands for';
COMMENT ON COLUMN jobs.retry_of IS 'The ended job of which this is a retry by hand';
COMMENT ON COLUMN jobs.dedup_key IS 'A second job with the same project, type and key inside the window is not run';
COMMENT ON COLUMN jobs.metadata IS 'Scalars of the submitter and of the steps; keys declared searchable are in job_metadata';
COMMENT ON COLUMN jobs.callback_url IS 'Called when the job has ended';
COMMENT ON COLUMN jobs.trace_context IS 'W3C traceparent';
COMMENT ON COLUMN jobs.submitted_by IS 'kafka, schedule, sql, cli or api, with who where it is known';
COMMENT ON COLUMN jobs.created_at IS 'When it was accepted';
COMMENT ON COLUMN jobs.run_at IS 'Not to be started before';
COMMENT ON COLUMN jobs.start_by IS 'Expires if not started by';
COMMENT ON COLUMN jobs.started_at IS 'When the last attempt started';
COMMENT ON COLUMN jobs.completed_at IS 'When it ended';
COMMENT ON COLUMN jobs.duration_ms IS 'Milliseconds that the last attempt took';
COMMENT ON COLUMN jobs.updated_at IS 'When this row was last changed';
COMMENT ON COLUMN jobs.worker_id IS 'Worker of the last attempt; null once that worker was found lost';
COMMENT ON COLUMN jobs.cancel_requested IS 'Null, or by, reason, at';
COMMENT ON COLUMN jobs.progress IS 'What the running attempt last reported';
COMMENT ON COLUMN jobs.items_total IS 'Items the job has to work through';
COMMENT ON COLUMN jobs.items_ok IS 'Items that succeeded';
COMMENT ON COLUMN jobs.items_failed IS 'Items that failed';
COMMENT ON COLUMN jobs.result IS 'Data of the last step that gave any';
COMMENT ON COLUMN jobs.error IS 'Why it ended as it did, or why the last attempt failed';
COMMENT ON COLUMN jobs.errors IS 'List of errors that the job itself reported';

CREATE TABLE job_steps (
    job_id uuid NOT NULL,
    attempt integer NOT NULL,
    seq integer NOT NULL,
    name text NOT NULL,
    status text NOT NULL
        CHECK (status IN ('pending', 'running', 'success', 'failed', 'skipped', 'cancelled')),
    data jsonb,
    error text,
    attempts integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_at timestamptz,
    completed_at timestamptz,
    duration_ms bigint,
    PRIMARY KEY (job_id, attempt, seq)
) PARTITION BY RANGE (job_id);
COMMENT ON TABLE job_steps IS 'Steps of jobs, one row for each time a step ran or was skipped in an attempt';
COMMENT ON COLUMN job_steps.job_id IS 'Job';
COMMENT ON COLUMN job_steps.attempt IS 'Attempt of the job';
COMMENT ON COLUMN job_steps.seq IS 'Place in the attempt, from 1';
COMMENT ON COLUMN job_steps.name IS 'Name in the job type, or as the handler reported it';
COMMENT ON COLUMN job_steps.status IS 'pending, running, success, failed, skipped or cancelled';
COMMENT ON COLUMN job_steps.data IS 'What the step gave';
COMMENT ON COLUMN job_steps.error IS 'Why it failed';
COMMENT ON COLUMN job_steps.attempts IS 'Tries of the step within this attempt of the job';
COMMENT ON COLUMN job_steps.created_at IS 'When the row was written';
COMMENT ON COLUMN job_steps.started_at IS 'When the step started';
COMMENT ON COLUMN job_steps.completed_at IS 'When the step ended';
COMMENT ON COLUMN job_steps.duration_ms IS 'Milliseconds it took';

CREATE TABLE job_logs (
    job_id uuid NOT NULL,
    attempt integer NOT NULL,
    seq integer NOT NULL,
    step text,
    ts timestamptz NOT NULL,
    level text NOT NULL CHECK (level IN ('DEBUG', 'INFO', 'WARNING', 'ERROR')),
    message text NOT NULL,
    details jsonb,
    PRIMARY KEY (job_id, attempt, seq)
) PARTITION BY RANGE (job_id);
COMMENT ON TABLE job_logs IS 'Log lines of jobs, in the order of attempt and seq';
COMMENT ON COLUMN job_logs.job_id IS 'Job';
COMMENT ON COLUMN job_logs.attempt IS 'Attempt of the job';
COMMENT ON COLUMN job_logs.seq IS 'Order within the attempt, from 1; what rescues write begins at 1000000000';
COMMENT ON COLUMN job_logs.step IS 'Step that was running';
COMMENT ON COLUMN job_logs.ts IS 'When it was logged';
COMMENT ON COLUMN job_logs.level IS 'DEBUG, INFO, WARNING or ERROR';
COMMENT ON COLUMN job_logs.message IS 'One line of text';
COMMENT ON COLUMN job_logs.details IS 'Free structured data';

CREATE TABLE job_attempts (
    job_id uuid NOT NULL,
    attempt integer NOT NULL,
    worker_id uuid,
    started_at timestamptz,
    completed_at timestamptz,
    outcome text NOT NULL,
    error text,
    stdout text,
    stderr text,
    return_code integer,
    output_files jsonb,
    total_size bigint,
    PRIMARY KEY (job_id, attempt)
) PARTITION BY RANGE (job_id);
COMMENT ON TABLE job_attempts IS 'Every attempt that did not complete or has output';
COMMENT ON COLUMN job_attempts.job_id IS 'Job';
COMMENT ON COLUMN job_attempts.attempt IS 'Number of the attempt';
COMMENT ON COLUMN job_attempts.worker_id IS 'Worker that ran it';
COMMENT ON COLUMN job_attempts.started_at IS 'When it started';
COMMENT ON COLUMN job_attempts.completed_at IS 'When it ended, or was found lost';
COMMENT ON COLUMN job_attempts.outcome IS 'completed, failed, retried, timeout, cancelled, lost, returned, or superseded (reported after it was found lost)';
COMMENT ON COLUMN job_attempts.error IS 'Why it did not complete';
COMMENT ON COLUMN job_attempts.stdout IS 'What the child wrote to standard output, capped, invalid bytes replaced';
COMMENT ON COLUMN job_attempts.stderr IS 'What the child wrote to standard error, capped, invalid bytes replaced';
COMMENT ON COLUMN job_attempts.return_code IS 'Exit status of the child; 128 + n for signal n';
COMMENT ON COLUMN job_attempts.output_files IS 'List of files left in the output directory';
COMMENT ON COLUMN job_attempts.total_size IS 'Bytes of those files';

CREATE TABLE job_metadata (
    job_id uuid NOT NULL,
    key text NOT NULL,
    value text NOT NULL,
    PRIMARY KEY (job_id, key)
) PARTITION BY RANGE (job_id);
CREATE INDEX job_metadata_search ON job_metadata (key, left(value, 200) COLLATE "C", job_id);
COMMENT ON TABLE job_metadata IS 'Metadata of jobs under the keys that their type declares searchable';
COMMENT ON COLUMN job_metadata.job_id IS 'Job';
COMMENT ON COLUMN job_metadata.key IS 'Metadata key';
COMMENT ON COLUMN job_metadata.value IS 'Value as text; the index holds its first 200 characters';

CREATE TABLE retention (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    dropped_before timestamptz NOT NULL DEFAULT '-infinity'
);
COMMENT ON TABLE retention IS 'One row: up to when history has been dropped';
COMMENT ON COLUMN retention.one IS 'Holds the table to one row';
COMMENT ON COLUMN retention.dropped_before IS 'Partitions of weeks before this instant are not made again';
INSERT INTO retention DEFAULT VALUES;

-- Weekly partitions, Monday 00:00 UTC to Monday, of the five tables keyed by a job's id. No default
-- partition: who finds none calls this. Runs as the owner so that workers need not own the tables.
CREATE FUNCTION partition_ensure(from_at timestamptz, to_at timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    parent text;
    part text;
    week timestamptz := date_trunc('week', from_at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC';
    made integer := 0;
    space oid := (SELECT c.relnamespace FROM pg_class c WHERE c.oid = 'jobs'::regclass);
    schema_name text := (SELECT n.nspname FROM pg_namespace n WHERE n.oid = space);
BEGIN
    IF to_at > clock_timestamp() + interval '60 days' THEN
        RAISE EXCEPTION 'no partition is made more than 60 days ahead (asked for %)', to_at
            USING ERRCODE = '22023';
    END IF;
    IF to_at - from_at > interval '4000 days' THEN
        RAISE EXCEPTION 'range of partitions too wide' USING ERRCODE = '22023';
    END IF;
    WHILE week <= to_at LOOP
        IF week + interval '7 days' <= (SELECT dropped_before FROM retention) THEN
            RAISE EXCEPTION 'history before % has been dropped by retention',
                (SELECT dropped_before FROM retention) USING ERRCODE = '22023';
        END IF;
        FOREACH parent IN ARRAY ARRAY['jobs', 'job_steps', 'job_logs', 'job_attempts', 'job_metadata'] LOOP
            part := parent || '_' || to_char(week AT TIME ZONE 'UTC', 'YYYYMMDD');
            CONTINUE WHEN to_regclass(format('%I.%I', schema_name, part)) IS NOT NULL;
            PERFORM pg_advisory_xact_lock(hashtext('jobmill.partition'), hashtext(schema_name));
            -- Read from the catalogue: to_regclass may remember that there was none before we waited.
            CONTINUE WHEN EXISTS (SELECT FROM pg_class c
                                   WHERE c.relname = part AND c.relnamespace = space);
            -- Made apart and then attached: ATTACH does not block readers and writers of the parent.
            EXECUTE format('CREATE TABLE %I.%I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING COMMENTS) WITH (fillfactor = %s)',
                schema_name, part, parent, CASE parent WHEN 'jobs' THEN 42 WHEN 'job_steps' THEN 90 ELSE 100 END);
            EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I.%I FOR VALUES FROM (%L) TO (%L)',
                parent, schema_name, part, uuid7_floor(week), uuid7_floor(week + interval '7 days'));
            made := made + 1;
        END LOOP;
        week := week + interval '7 days';
    END LOOP;
    RETURN made;
END $$;
COMMENT ON FUNCTION partition_ensure IS 'Makes the weekly partitions that are missing between two instants; returns how many';
SELECT partition_ensure(clock_timestamp() - interval '8 days', clock_timestamp() + interval '14 days');

CREATE TABLE pending_jobs (
    job_id uuid PRIMARY KEY,
    seq bigint GENERATED ALWAYS AS IDENTITY,
    state text NOT NULL CHECK (state IN ('unpublished', 'published', 'ready', 'held')),
    visible_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    queue text NOT NULL,
    type text NOT NULL,
    project text NOT NULL,
    priority smallint NOT NULL DEFAULT 4,
    start_by timestamptz,
    lock_name text,
    reason text,
    message text
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX pending_jobs_ready ON pending_jobs (queue, type, priority, visible_at, seq) WHERE state = 'ready';
CREATE INDEX pending_jobs_unpublished ON pending_jobs (visible_at) WHERE state = 'unpublished';
CREATE INDEX pending_jobs_published ON pending_jobs (visible_at) WHERE state = 'published';
CREATE INDEX pending_jobs_start_by ON pending_jobs (start_by) WHERE start_by IS NOT NULL;
COMMENT ON TABLE pending_jobs IS 'One row for every job that has not started (and for ordered jobs until they end)';
COMMENT ON COLUMN pending_jobs.job_id IS 'Job';
COMMENT ON COLUMN pending_jobs.seq IS 'Order of arrival';
COMMENT ON COLUMN pending_jobs.state IS 'unpublished: the relay is to publish it; published; ready: to be started from here; held: an ordered job that has started';
COMMENT ON COLUMN pending_jobs.visible_at IS 'ready: not before; unpublished: not to be taken by another relay before; published: when it was due';
COMMENT ON COLUMN pending_jobs.queue IS 'Queue of the job';
COMMENT ON COLUMN pending_jobs.type IS 'Type of the job';
COMMENT ON COLUMN pending_jobs.project IS 'Project of the job';
COMMENT ON COLUMN pending_jobs.priority IS 'Priority of the job';
COMMENT ON COLUMN pending_jobs.start_by IS 'Expires if not started by';
COMMENT ON COLUMN pending_jobs.lock_name IS 'Lock it must take to start';
COMMENT ON COLUMN pending_jobs.reason IS 'Why it waits, for people';
COMMENT ON COLUMN pending_jobs.message IS 'Value of the Kafka record that the relay publishes';

CREATE TABLE claims (
    worker_id uuid NOT NULL,
    seq bigint NOT NULL,
    job_ids uuid[] NOT NULL,
    claimed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (worker_id, seq)
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);
COMMENT ON TABLE claims IS 'One row a batch of jobs that a worker has started and not yet recorded in full';
COMMENT ON COLUMN claims.worker_id IS 'Worker';
COMMENT ON COLUMN claims.seq IS 'The worker''s own count of its batches';
COMMENT ON COLUMN claims.job_ids IS 'Jobs of the batch; those whose jobs row names this worker and is running are what it runs';
COMMENT ON COLUMN claims.claimed_at IS 'When they were started';

CREATE TABLE dedup_keys (
    project text NOT NULL,
    type text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('external_id', 'dedup_key')),
    key text NOT NULL,
    job_id uuid NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (project, type, kind, key)
);
CREATE INDEX dedup_keys_expires_at ON dedup_keys (expires_at);
COMMENT ON TABLE dedup_keys IS 'External ids and dedup keys inside their window';
COMMENT ON COLUMN dedup_keys.project IS 'Project';
COMMENT ON COLUMN dedup_keys.type IS 'Job type';
COMMENT ON COLUMN dedup_keys.kind IS 'external_id or dedup_key';
COMMENT ON COLUMN dedup_keys.key IS 'The id or key';
COMMENT ON COLUMN dedup_keys.job_id IS 'The job that has it';
COMMENT ON COLUMN dedup_keys.expires_at IS 'End of the window';

CREATE TABLE locks (
    project text NOT NULL DEFAULT 'default',
    name text NOT NULL,
    slot integer NOT NULL DEFAULT 1,
    capacity integer NOT NULL DEFAULT 1 CHECK (capacity >= 1),
    owner text,
    token bigint NOT NULL DEFAULT 0,
    expires_at timestamptz,
    PRIMARY KEY (project, name, slot)
);
COMMENT ON TABLE locks IS 'Named locks; a capacity above 1 is a limit on how many hold it at once';
COMMENT ON COLUMN locks.project IS 'Project';
COMMENT ON COLUMN locks.name IS 'Name';
COMMENT ON COLUMN locks.slot IS '1 to capacity';
COMMENT ON COLUMN locks.capacity IS 'How many may hold it';
COMMENT ON COLUMN locks.owner IS 'Who holds this slot; null: free';
COMMENT ON COLUMN locks.token IS 'Fencing token of the last acquisition; only grows';
COMMENT ON COLUMN locks.expires_at IS 'When the holder loses it; null: when it lets go (a job''s lock)';

CREATE TABLE job_stats (
    hour timestamptz NOT NULL,
    project text NOT NULL,
    type text NOT NULL,
    schedule_id uuid,
    status text NOT NULL,
    jobs bigint NOT NULL,
    duration_ms bigint NOT NULL,
    folded boolean NOT NULL DEFAULT false
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX job_stats_folded ON job_stats (hour, project, type, schedule_id, status)
    NULLS NOT DISTINCT WHERE folded;
CREATE INDEX job_stats_new ON job_stats (hour) WHERE NOT folded;
COMMENT ON TABLE job_stats IS 'Counts of ended jobs by hour; sum all rows, those not folded yet too';
COMMENT ON COLUMN job_stats.hour IS 'Hour in which they ended';
COMMENT ON COLUMN job_stats.project IS 'Project';
COMMENT ON COLUMN job_stats.type IS 'Job type';
COMMENT ON COLUMN job_stats.schedule_id IS 'Schedule that fired them, if one did';
COMMENT ON COLUMN job_stats.status IS 'completed, failed, cancelled or expired';
COMMENT ON COLUMN job_stats.jobs IS 'How many';
COMMENT ON COLUMN job_stats.duration_ms IS 'Sum of their durations';
COMMENT ON COLUMN job_stats.folded IS 'Whether the janitor has added it up';

CREATE TABLE schedules (
    id uuid PRIMARY KEY,
    external_id text,
    source text NOT NULL DEFAULT 'user',
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 255),
    project text NOT NULL DEFAULT 'default' REFERENCES projects (name) ON DELETE CASCADE,
    type text NOT NULL,
    profile text,
    params jsonb NOT NULL DEFAULT '{}',
    queue text NOT NULL DEFAULT 'default',
    priority smallint NOT NULL DEFAULT 4 CHECK (priority BETWEEN 0 AND 9),
    exclusive text,
    metadata jsonb,
    kind text NOT NULL CHECK (kind IN ('cron', 'interval', 'once')),
    cron_expression text CHECK (kind <> 'cron' OR cron_expression IS NOT NULL),
    interval_seconds bigint CHECK (kind <> 'interval' OR interval_seconds >= 1),
    anchor_at timestamptz CHECK (kind <> 'interval' OR anchor_at IS NOT NULL),
    run_at timestamptz CHECK (kind <> 'once' OR run_at IS NOT NULL),
    timezone text NOT NULL DEFAULT 'UTC',
    dst_gap text CHECK (dst_gap IN ('after', 'skip')),
    dst_fold text CHECK (dst_fold IN ('first', 'second', 'both')),
    jitter_seconds integer NOT NULL DEFAULT 0 CHECK (jitter_seconds >= 0),
    starts_at timestamptz,
    ends_at timestamptz,
    calendar text,
    enabled boolean NOT NULL DEFAULT true,
    paused boolean NOT NULL DEFAULT false,
    overlap text NOT NULL DEFAULT 'skip' CHECK (overlap IN ('skip', 'queue', 'allow', 'cancel_running')),
    max_instances integer NOT NULL DEFAULT 1 CHECK (max_instances >= 1),
    misfire_grace_seconds integer NOT NULL DEFAULT 300 CHECK (misfire_grace_seconds >= 0),
    catch_up text NOT NULL DEFAULT 'one' CHECK (catch_up IN ('skip', 'one', 'all')),
    catch_up_limit integer NOT NULL DEFAULT 100 CHECK (catch_up_limit >= 1),
    coalesce_grace boolean NOT NULL DEFAULT false,
    callback_url text,
    description text,
    version integer NOT NULL DEFAULT 1,
    last_run_at timestamptz,
    last_status text,
    next_run_at timestamptz,
    last_job_id uuid,
    total_runs bigint NOT NULL DEFAULT 0,
    successful_runs bigint NOT NULL DEFAULT 0,
    failed_runs bigint NOT NULL DEFAULT 0,
    skipped_runs bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (project, name)
) WITH (fillfactor = 70);
CREATE INDEX schedules_due ON schedules (next_run_at) WHERE enabled AND NOT paused AND next_run_at IS NOT NULL;
CREATE INDEX schedules_external_id ON schedules (external_id) WHERE external_id IS NOT NULL;
COMMENT ON TABLE schedules IS 'What is to run when';
COMMENT ON COLUMN schedules.id IS 'UUIDv7';
COMMENT ON COLUMN schedules.external_id IS 'Id in the system it came from';
COMMENT ON COLUMN schedules.source IS 'user, or the sync that owns it';
COMMENT ON COLUMN schedules.name IS 'Unique in its project';
COMMENT ON COLUMN schedules.project IS 'Tenant';
COMMENT ON COLUMN schedules.type IS 'Job type that it fires';
COMMENT ON COLUMN schedules.profile IS 'Named set of default params of the type';
COMMENT ON COLUMN schedules.params IS 'Params of its jobs';
COMMENT ON COLUMN schedules.queue IS 'Queue of its jobs';
COMMENT ON COLUMN schedules.priority IS 'Priority of its jobs';
COMMENT ON COLUMN schedules.exclusive IS 'Exclusive name of its jobs';
COMMENT ON COLUMN schedules.metadata IS 'Metadata of its jobs';
COMMENT ON COLUMN schedules.kind IS 'cron, interval or once';
COMMENT ON COLUMN schedules.cron_expression IS 'For cron';
COMMENT ON COLUMN schedules.interval_seconds IS 'For interval: elapsed seconds between instants';
COMMENT ON COLUMN schedules.anchor_at IS 'For interval: instants are this plus whole intervals';
COMMENT ON COLUMN schedules.run_at IS 'For once: the instant';
COMMENT ON COLUMN schedules.timezone IS 'IANA zone in which a cron expression is read';
COMMENT ON COLUMN schedules.dst_gap IS 'For local times that do not exist: after or skip; null: cron''s rule';
COMMENT ON COLUMN schedules.dst_fold IS 'For local times that come twice: first, second or both; null: cron''s rule';
COMMENT ON COLUMN schedules.jitter_seconds IS 'Instants are published up to this much later, always the same for an instant';
COMMENT ON COLUMN schedules.starts_at IS 'No instant before';
COMMENT ON COLUMN schedules.ends_at IS 'No instant after';
COMMENT ON COLUMN schedules.calendar IS 'Calendar of exclusions';
COMMENT ON COLUMN schedules.enabled IS 'Whether its instants are due';
COMMENT ON COLUMN schedules.paused IS 'Whether it is held for the moment';
COMMENT ON COLUMN schedules.overlap IS 'When earlier jobs are unfinished: skip, queue, allow or cancel_running';
COMMENT ON COLUMN schedules.max_instances IS 'Unfinished jobs at once, except under allow';
COMMENT ON COLUMN schedules.misfire_grace_seconds IS 'An instant found late by at most this still fires';
COMMENT ON COLUMN schedules.catch_up IS 'For instants missed by more: skip, one or all';
COMMENT ON COLUMN schedules.catch_up_limit IS 'At most this many under all';
COMMENT ON COLUMN schedules.coalesce_grace IS 'Whether several late instants inside the grace become one';
COMMENT ON COLUMN schedules.callback_url IS 'Called when a job of it has ended';
COMMENT ON COLUMN schedules.description IS 'For people';
COMMENT ON COLUMN schedules.version IS 'Rises with every edit';
COMMENT ON COLUMN schedules.last_run_at IS 'Last instant that fired';
COMMENT ON COLUMN schedules.last_status IS 'Status of the last job that ended';
COMMENT ON COLUMN schedules.next_run_at IS 'Next instant; null when there is none';
COMMENT ON COLUMN schedules.last_job_id IS 'Job of the last instant that fired';
COMMENT ON COLUMN schedules.total_runs IS 'Jobs of it that ended';
COMMENT ON COLUMN schedules.successful_runs IS 'Jobs of it that completed';
COMMENT ON COLUMN schedules.failed_runs IS 'Jobs of it that failed or expired';
COMMENT ON COLUMN schedules.skipped_runs IS 'Instants that did not fire';
COMMENT ON COLUMN schedules.created_at IS 'When it was made';
COMMENT ON COLUMN schedules.updated_at IS 'When it was last edited';

CREATE TABLE schedule_ticks (
    schedule_id uuid NOT NULL,
    due_at timestamptz NOT NULL,
    kind text NOT NULL DEFAULT 'calendar' CHECK (kind IN ('calendar', 'manual', 'backfill')),
    outcome text NOT NULL CHECK (outcome IN ('fired', 'skipped', 'missed', 'coalesced')),
    until timestamptz,
    count bigint NOT NULL DEFAULT 1,
    reason text,
    job_id uuid,
    decided_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (schedule_id, due_at, kind)
);
COMMENT ON TABLE schedule_ticks IS 'The ledger: every instant a schedule was due, once, and what became of it';
COMMENT ON COLUMN schedule_ticks.schedule_id IS 'Schedule';
COMMENT ON COLUMN schedule_ticks.due_at IS 'The instant; the first one where the row stands for a run of them';
COMMENT ON COLUMN schedule_ticks.kind IS 'calendar, manual or backfill';
COMMENT ON COLUMN schedule_ticks.outcome IS 'fired, skipped, missed or coalesced';
COMMENT ON COLUMN schedule_ticks.until IS 'Last instant of a run of instants with one fate';
COMMENT ON COLUMN schedule_ticks.count IS 'How many instants the row stands for';
COMMENT ON COLUMN schedule_ticks.reason IS 'Why it did not fire';
COMMENT ON COLUMN schedule_ticks.job_id IS 'The job it fired';
COMMENT ON COLUMN schedule_ticks.decided_at IS 'When that was decided';

CREATE TABLE dead_letters (
    id uuid PRIMARY KEY,
    topic text NOT NULL,
    partition integer NOT NULL,
    record_offset bigint NOT NULL,
    key bytea,
    value bytea,
    headers jsonb,
    reason text NOT NULL,
    field text,
    detail text,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    redriven_at timestamptz,
    redriven_as uuid
);
CREATE INDEX dead_letters_reason ON dead_letters (reason, id);
COMMENT ON TABLE dead_letters IS 'Kafka records that could not become jobs, whole, with the reason';
COMMENT ON COLUMN dead_letters.id IS 'Derived from the record, so that a redelivery makes no second row';
COMMENT ON COLUMN dead_letters.topic IS 'Topic it came from';
COMMENT ON COLUMN dead_letters.partition IS 'Partition it came from';
COMMENT ON COLUMN dead_letters.record_offset IS 'Offset it had';
COMMENT ON COLUMN dead_letters.key IS 'Key of the record';
COMMENT ON COLUMN dead_letters.value IS 'Value of the record; null for a tombstone';
COMMENT ON COLUMN dead_letters.headers IS 'Headers: object of text, bytes that are not UTF-8 as {"base64":…}';
COMMENT ON COLUMN dead_letters.reason IS 'Code: bad_json, unknown_field, bad_field, missing_field, bad_time, too_large, unknown_project, id_conflict, unsupported, refused';
COMMENT ON COLUMN dead_letters.field IS 'Field at fault';
COMMENT ON COLUMN dead_letters.detail IS 'What is wrong and how to mend it';
COMMENT ON COLUMN dead_letters.at IS 'When it was put here';
COMMENT ON COLUMN dead_letters.redriven_at IS 'When it was sent again';
COMMENT ON COLUMN dead_letters.redriven_as IS 'Job that came of it';

CREATE TABLE workers (
    id uuid PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('worker', 'producer')),
    host text NOT NULL,
    pid integer NOT NULL,
    version text NOT NULL,
    queues text[] NOT NULL DEFAULT '{}',
    types text[] NOT NULL DEFAULT '{}',
    concurrency integer NOT NULL DEFAULT 0,
    running integer NOT NULL DEFAULT 0,
    lease_s integer NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    heartbeat_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'stopping', 'stopped', 'lost'))
) WITH (fillfactor = 50);
COMMENT ON TABLE workers IS 'Processes and their leases: one heartbeat covers all that a worker runs';
COMMENT ON COLUMN workers.id IS 'UUIDv7, new with each start';
COMMENT ON COLUMN workers.kind IS 'worker or producer';
COMMENT ON COLUMN workers.host IS 'Host name';
COMMENT ON COLUMN workers.pid IS 'Process id';
COMMENT ON COLUMN workers.version IS 'Version of the program';
COMMENT ON COLUMN workers.queues IS 'Queues it consumes';
COMMENT ON COLUMN workers.types IS 'Job types it can run';
COMMENT ON COLUMN workers.concurrency IS 'Child processes it runs at once';
COMMENT ON COLUMN workers.running IS 'Jobs it runs, at the last heartbeat';
COMMENT ON COLUMN workers.lease_s IS 'Length of its lease in seconds';
COMMENT ON COLUMN workers.started_at IS 'When it started';
COMMENT ON COLUMN workers.heartbeat_at IS 'Last heartbeat';
COMMENT ON COLUMN workers.expires_at IS 'End of its lease';
COMMENT ON COLUMN workers.state IS 'running, stopping, stopped, or lost (its lease lapsed and its jobs were rescued)';

CREATE TABLE job_types (
    name text NOT NULL,
    definition_hash text NOT NULL,
    description text,
    params_schema jsonb,
    profiles jsonb,
    searchable text[] NOT NULL DEFAULT '{}',
    max_attempts integer NOT NULL DEFAULT 3,
    backoff jsonb,
    announced_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (name, definition_hash)
);
COMMENT ON TABLE job_types IS 'Job types as live workers announce them; the newest announcement counts';
COMMENT ON COLUMN job_types.name IS 'Name of the type';
COMMENT ON COLUMN job_types.definition_hash IS 'Of the definition, to tell versions apart';
COMMENT ON COLUMN job_types.description IS 'For people';
COMMENT ON COLUMN job_types.params_schema IS 'JSON Schema of params';
COMMENT ON COLUMN job_types.profiles IS 'Named sets of default params';
COMMENT ON COLUMN job_types.searchable IS 'Metadata keys that are indexed';
COMMENT ON COLUMN job_types.max_attempts IS 'Attempts a job of it has';
COMMENT ON COLUMN job_types.backoff IS 'initial_s, factor, max_s, jitter';
COMMENT ON COLUMN job_types.announced_at IS 'When a worker last announced it';

COMMENT ON TABLE schema_migrations IS 'Migrations that have been applied';
COMMENT ON COLUMN schema_migrations.version IS 'Number of the migration';
COMMENT ON COLUMN schema_migrations.name IS 'Its name';
COMMENT ON COLUMN schema_migrations.min_program_version IS 'Oldest program that runs on the schema after it';
COMMENT ON COLUMN schema_migrations.applied_at IS 'When it was applied';
