-- min_program_version: 0.1.0
-- The ledger loses its oldest rows, when that is asked for; and what the janitor looks for once a second it finds by index.

CREATE INDEX IF NOT EXISTS schedule_ticks_decided ON schedule_ticks USING brin (decided_at);
CREATE INDEX pending_jobs_held ON pending_jobs (job_id) WHERE state = 'held';
