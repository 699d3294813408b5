-- How many rows of the ledger are old. $1 decided, and due, before, $2 project (null: any)
SELECT count(*)
FROM schedule_ticks o
WHERE o.decided_at < $1::timestamptz AND coalesce(o.until, o.due_at) < $1::timestamptz
    AND coalesce((SELECT j.status FROM jobs j WHERE j.id = o.job_id), '') NOT IN ('pending', 'running')
    AND ($2::text IS NULL OR o.schedule_id IN (SELECT s.id FROM schedules s WHERE s.project = $2))
