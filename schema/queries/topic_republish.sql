-- Jobs whose records were in a topic that is gone, and that nobody has claimed, are published again.
-- $1 queue. Result: how many.
WITH again AS (
    UPDATE pending_jobs SET state = 'unpublished', visible_at = clock_timestamp()
    WHERE queue = $1::text AND state = 'published' AND message IS NOT NULL
    RETURNING job_id
)
SELECT count(*) FROM again
