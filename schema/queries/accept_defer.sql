-- Jobs that the relay published and that have no slot here: from now on they wait to be started, and
-- not for as long as the relay had kept them to itself.
-- $1 job ids, sorted, $2 why each waits, $3 lock it must take to start (null: none), $4 whether that is for its place
-- in its key.
UPDATE pending_jobs p
SET state = 'ready', reason = w.reason, visible_at = least(p.visible_at, statement_timestamp()),
    lock_name = coalesce(p.lock_name, w.lock_name), ordered = CASE WHEN p.lock_name IS NULL THEN w.ordered ELSE p.ordered END,
    due_at = coalesce(p.due_at, CASE WHEN w.lock_name IS NOT NULL THEN statement_timestamp() END)
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bool[]) AS w (job_id, reason, lock_name, ordered)
WHERE p.job_id = w.job_id AND p.job_id = ANY ($1::uuid[]) AND p.state IN ('unpublished', 'published')
