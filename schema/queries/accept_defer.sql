-- Jobs that the relay published and that have no slot here: from now on they wait to be started, and
-- not for as long as the relay had kept them to itself.
-- $1 job ids, sorted, $2 why each waits.
UPDATE pending_jobs p
SET state = 'ready', reason = w.reason, visible_at = least(p.visible_at, statement_timestamp())
FROM unnest($1::uuid[], $2::text[]) AS w (job_id, reason)
WHERE p.job_id = w.job_id AND p.job_id = ANY ($1::uuid[]) AND p.state IN ('unpublished', 'published')
