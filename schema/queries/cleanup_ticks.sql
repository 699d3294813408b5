-- Drops old rows of the ledger, but not of jobs that have not ended. $1 those decided, and due, before, $2 project
-- (null: any), $3 at most so many
-- Result: how many were dropped.
WITH gone AS (
    DELETE FROM schedule_ticks t
    WHERE t.ctid = ANY (ARRAY(
        SELECT o.ctid FROM schedule_ticks o
        WHERE o.decided_at < $1::timestamptz AND coalesce(o.until, o.due_at) < $1::timestamptz
            AND coalesce((SELECT j.status FROM jobs j WHERE j.id = o.job_id), '') NOT IN ('pending', 'running')
            AND ($2::text IS NULL OR o.schedule_id IN (SELECT s.id FROM schedules s WHERE s.project = $2))
        LIMIT $3::integer
        FOR UPDATE SKIP LOCKED))
    RETURNING 1
)
SELECT count(*) FROM gone
