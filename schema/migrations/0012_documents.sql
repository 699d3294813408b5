-- min_program_version: 0.1.0
-- Documents: JSON of applications, handed to the jobs whose type names them.

SELECT set_config('search_path', current_setting('search_path') || ', pg_temp', true);

CREATE TABLE documents (
    project text NOT NULL REFERENCES projects (name) ON DELETE CASCADE,
    name text NOT NULL CHECK (name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$'),
    version integer NOT NULL CHECK (version >= 1),
    body jsonb NOT NULL,
    description text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (project, name)
);
COMMENT ON TABLE documents IS 'JSON documents of applications, as they are now; every version is in audit_log, under "project/name"';
COMMENT ON COLUMN documents.project IS 'Tenant';
COMMENT ON COLUMN documents.name IS 'Unique in its project';
COMMENT ON COLUMN documents.version IS 'Rises with each change, and goes on where it was when a deleted document is made again';
COMMENT ON COLUMN documents.body IS 'Any JSON value';
COMMENT ON COLUMN documents.description IS 'For people';
COMMENT ON COLUMN documents.created_at IS 'When it was made';
COMMENT ON COLUMN documents.updated_at IS 'When it last changed';
