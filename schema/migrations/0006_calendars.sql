-- min_program_version: 0.1.0
-- Named calendars: days on which schedules do not run, or to which they keep.

SELECT set_config('search_path', current_setting('search_path') || ', pg_temp', true);

CREATE TABLE calendars (
    project text NOT NULL REFERENCES projects (name) ON DELETE CASCADE,
    name text NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,99}$'),
    definition jsonb NOT NULL CHECK (jsonb_typeof(definition) = 'object'),
    description text,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (project, name)
);
COMMENT ON TABLE calendars IS 'Named sets of days that schedules leave out or keep to';
COMMENT ON COLUMN calendars.project IS 'Tenant';
COMMENT ON COLUMN calendars.name IS 'Unique in its project';
COMMENT ON COLUMN calendars.definition IS 'Lists exclude and include of rules, which name days (docs/scheduling.md)';
COMMENT ON COLUMN calendars.description IS 'For people';
COMMENT ON COLUMN calendars.version IS 'Rises with each change';
COMMENT ON COLUMN calendars.created_at IS 'When it was added';
COMMENT ON COLUMN calendars.updated_at IS 'When it last changed';

-- A calendar that a schedule uses stays, also while that schedule is being added.
CREATE INDEX schedules_calendar ON schedules (project, calendar) WHERE calendar IS NOT NULL;
ALTER TABLE schedules ADD CONSTRAINT schedules_calendar_fkey
    FOREIGN KEY (project, calendar) REFERENCES calendars (project, name);
