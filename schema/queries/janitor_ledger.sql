-- Drops old rows of the ledger. One stays while its job has not ended.
-- $1 those decided before  $2 and not before: where the last batch began, so that what it left dead is
-- not read again (null: from the oldest on)  $3 at most so many
-- Result: how many were dropped, since when they were decided.
WITH gone AS (
    DELETE FROM schedule_ticks t
     WHERE t.ctid = ANY (ARRAY(
           SELECT o.ctid FROM schedule_ticks o
            WHERE o.decided_at < $1::timestamptz AND o.decided_at >= coalesce($2::timestamptz, '-infinity')
              AND coalesce(o.until, o.due_at) < $1::timestamptz
              AND coalesce((SELECT j.status FROM jobs j WHERE j.id = o.job_id), '') NOT IN ('pending', 'running')
            LIMIT $3::integer
              FOR UPDATE SKIP LOCKED))
    RETURNING t.decided_at
)
SELECT count(*), min(decided_at) FROM gone
