-- Marks jobs whose records Kafka has acknowledged. One that a worker has claimed meanwhile has no row
-- any more, or one in another state: left alone.
-- $1 job ids
UPDATE pending_jobs p
   SET state = 'published', visible_at = clock_timestamp()
 WHERE p.job_id = ANY ($1::uuid[]) AND p.state = 'unpublished'
