-- Why a job waits. $1 job id. Result: state, visible_at and reason as JSON; no row when it does not wait.
SELECT json_build_object('state', p.state, 'visible_at', p.visible_at, 'reason', p.reason)
FROM pending_jobs p
WHERE p.job_id = $1::uuid
