-- min_program_version: 0.1.0
-- Which jobs of a schedule are unfinished, found without a look at those that have ended.

SELECT set_config('search_path', current_setting('search_path') || ', pg_temp', true);

CREATE TABLE open_jobs (
    schedule_id uuid NOT NULL,
    job_id uuid NOT NULL,
    PRIMARY KEY (schedule_id, job_id)
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);
COMMENT ON TABLE open_jobs IS 'Jobs that may overlap with the next instant of their schedule, beside its last one (schedules.last_job_id): every unfinished job of a schedule whose overlap is skip is here or is that one, but for those of backfills. Nearly always empty: a row is made where a later job, or a retry, comes beside an unfinished one, and goes when jobs of the schedule are counted after it has ended';
COMMENT ON COLUMN open_jobs.schedule_id IS 'Schedule';
COMMENT ON COLUMN open_jobs.job_id IS 'Job of it, which may have ended since';

CREATE FUNCTION job_backfilled(job_id uuid) RETURNS boolean
LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    WITH RECURSIVE origin AS (
        SELECT j.retry_of, j.submitted_by FROM jobs j WHERE j.id = job_id
        UNION ALL
        SELECT r.* FROM origin o
        CROSS JOIN LATERAL (SELECT j.retry_of, j.submitted_by FROM jobs j WHERE j.id = o.retry_of LIMIT 1) r
    )
    SELECT EXISTS (SELECT FROM origin WHERE submitted_by = 'backfill')
$$;
COMMENT ON FUNCTION job_backfilled IS 'Whether a backfill made the job, or the one of which it is a retry';

-- What stands in pending_jobs and in claims is all that is unfinished, however much history there is.
CREATE FUNCTION open_jobs_of(project text, schedule_ids uuid[]) RETURNS TABLE (schedule_id uuid, job_id uuid)
LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT j.schedule_id, j.id
    FROM (SELECT p.job_id FROM pending_jobs p WHERE p.project = $1
          UNION
          SELECT unnest(c.job_ids) FROM claims c) u
    CROSS JOIN LATERAL (SELECT * FROM jobs WHERE id = u.job_id LIMIT 1) j
    WHERE j.schedule_id = ANY ($2) AND j.status IN ('pending', 'running') AND NOT job_backfilled(j.id)
$$;
COMMENT ON FUNCTION open_jobs_of IS 'The unfinished jobs of schedules of a project, but for those of backfills';

-- Under other policies nobody keeps count, so it is begun where skip is set, whoever does that.
CREATE FUNCTION open_jobs_begin() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO open_jobs (schedule_id, job_id) SELECT * FROM open_jobs_of(NEW.project, ARRAY[NEW.id])
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION open_jobs_begin IS 'Begins to keep count of the unfinished jobs of a schedule';
CREATE TRIGGER open_jobs_begin AFTER UPDATE OF overlap ON schedules
    FOR EACH ROW WHEN (NEW.overlap = 'skip' AND OLD.overlap <> 'skip') EXECUTE FUNCTION open_jobs_begin();

INSERT INTO open_jobs (schedule_id, job_id)
SELECT o.* FROM (SELECT project, array_agg(id) AS ids FROM schedules WHERE overlap = 'skip' GROUP BY 1) s
CROSS JOIN LATERAL open_jobs_of(s.project, s.ids) o;
