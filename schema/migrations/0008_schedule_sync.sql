-- min_program_version: 0.1.0
-- Schedules that another system owns: what came of the last round of each sync.

CREATE TABLE schedule_syncs (
    source text PRIMARY KEY,
    hash text,
    etag text,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    outcome text NOT NULL CHECK (outcome IN ('changed', 'unchanged', 'refused', 'failed')),
    error text,
    added integer NOT NULL DEFAULT 0,
    changed integer NOT NULL DEFAULT 0,
    deleted integer NOT NULL DEFAULT 0
);
COMMENT ON TABLE schedule_syncs IS 'Sources that schedules are synced from, and what came of the last round';
COMMENT ON COLUMN schedule_syncs.source IS 'URL, directory or file, without passwords';
COMMENT ON COLUMN schedule_syncs.hash IS 'SHA-256 of what the last successful round read; null: none has been';
COMMENT ON COLUMN schedule_syncs.etag IS 'ETag that the server gave with it';
COMMENT ON COLUMN schedule_syncs.at IS 'When the last round ended';
COMMENT ON COLUMN schedule_syncs.outcome IS 'changed, unchanged, refused (too many deletions) or failed';
COMMENT ON COLUMN schedule_syncs.error IS 'What was wrong in the last round; null: nothing';
COMMENT ON COLUMN schedule_syncs.added IS 'Schedules added by the last round that changed something';
COMMENT ON COLUMN schedule_syncs.changed IS 'Schedules changed by that round';
COMMENT ON COLUMN schedule_syncs.deleted IS 'Schedules deleted by that round';

COMMENT ON COLUMN schedules.source IS 'user, import (made by jobmill schedule import), or sync: owned by the system it is synced from';
