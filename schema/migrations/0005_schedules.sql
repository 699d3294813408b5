-- min_program_version: 0.1.0
-- Schedules in full: what a calendar leaves out, who changed what, and with which time zone data instants were
-- computed.

ALTER TABLE schedules ADD COLUMN next_skip_at timestamptz;
COMMENT ON COLUMN schedules.next_skip_at IS 'Next instant that its calendar leaves out, where that comes before next_run_at';
CREATE INDEX schedules_skip ON schedules (next_skip_at) WHERE enabled AND NOT paused AND next_skip_at IS NOT NULL;

CREATE INDEX schedule_ticks_decided ON schedule_ticks USING brin (decided_at);

CREATE TABLE audit_log (
    id uuid PRIMARY KEY DEFAULT uuid7(),
    object text NOT NULL,
    object_id text NOT NULL,
    version integer,
    action text NOT NULL,
    before jsonb,
    after jsonb,
    actor text NOT NULL,
    source text NOT NULL,
    reason text,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (object, object_id, version)
);
CREATE INDEX audit_log_object ON audit_log (object, object_id, id);
COMMENT ON TABLE audit_log IS 'Who changed what; also the versions of schedules';
COMMENT ON COLUMN audit_log.id IS 'UUIDv7';
COMMENT ON COLUMN audit_log.object IS 'What was changed: schedule, ...';
COMMENT ON COLUMN audit_log.object_id IS 'Id of what was changed';
COMMENT ON COLUMN audit_log.version IS 'Version that the change made; null for what makes none (run, backfill)';
COMMENT ON COLUMN audit_log.action IS 'create, update, enable, disable, pause, resume, rollback, delete, run, backfill';
COMMENT ON COLUMN audit_log.before IS 'Its definition before; null when it was made';
COMMENT ON COLUMN audit_log.after IS 'Its definition after; null when it was deleted';
COMMENT ON COLUMN audit_log.actor IS 'Who: kind and name';
COMMENT ON COLUMN audit_log.source IS 'By what way: cli, api, import or sync';
COMMENT ON COLUMN audit_log.reason IS 'Why, where that was said';
COMMENT ON COLUMN audit_log.at IS 'When';

CREATE TABLE schedules_deleted (
    id uuid PRIMARY KEY,
    deleted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE schedules_deleted IS 'Schedules that are gone and that some of their jobs may still name: a producer takes their ids off the jobs';
COMMENT ON COLUMN schedules_deleted.id IS 'Schedule';
COMMENT ON COLUMN schedules_deleted.deleted_at IS 'When it was deleted';

CREATE TABLE timezones (
    name text PRIMARY KEY,
    version text NOT NULL,
    hash bigint NOT NULL,
    computed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE timezones IS 'Time zone data with which the next instants of schedules were computed';
COMMENT ON COLUMN timezones.name IS 'IANA zone';
COMMENT ON COLUMN timezones.version IS 'Version of tzdata, where that is known';
COMMENT ON COLUMN timezones.hash IS 'Hash of the rules of the zone';
COMMENT ON COLUMN timezones.computed_at IS 'When its schedules were last computed anew';

-- What producers look for once a second they find by index.
CREATE INDEX pending_jobs_held ON pending_jobs (job_id) WHERE state = 'held';
