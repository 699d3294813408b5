-- Takes the id of a deleted schedule off some of its jobs; when none is left it is done with. $1 at most so many jobs.
-- Result: how many jobs were changed, how many deleted schedules there are still.
WITH one AS MATERIALIZED (
    SELECT d.id FROM schedules_deleted d ORDER BY d.deleted_at, d.id LIMIT 1 FOR UPDATE SKIP LOCKED
), jobs_of AS MATERIALIZED (
    SELECT j.id FROM one o CROSS JOIN LATERAL (
        SELECT j.id FROM jobs j WHERE j.schedule_id = o.id ORDER BY j.id LIMIT $1::integer) j
), freed AS (
    UPDATE jobs j SET schedule_id = NULL
     WHERE j.id = ANY (ARRAY(SELECT f.id FROM jobs_of f))
       AND j.id >= (SELECT f.id FROM jobs_of f ORDER BY f.id LIMIT 1)
       AND j.id <= (SELECT f.id FROM jobs_of f ORDER BY f.id DESC LIMIT 1)
    RETURNING 1
), uncounted AS (
    DELETE FROM open_jobs o WHERE o.schedule_id = (SELECT n.id FROM one n)
), done AS (
    DELETE FROM schedules_deleted d
     WHERE d.id = (SELECT o.id FROM one o) AND NOT EXISTS (SELECT FROM jobs_of)
    RETURNING 1
)
SELECT (SELECT count(*) FROM freed), (SELECT count(*) FROM schedules_deleted) - (SELECT count(*) FROM done)
