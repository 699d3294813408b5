-- Lets jobs start from the database that Kafka will never take.
-- $1 job ids  $2 why
UPDATE pending_jobs p
   SET state = 'ready', visible_at = clock_timestamp(), reason = $2, message = NULL
 WHERE p.job_id = ANY ($1::uuid[]) AND p.state = 'unpublished'
