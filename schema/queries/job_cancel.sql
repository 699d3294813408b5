-- Cancels a job for a person or script. $1 job id, $2 actor, $3 source, $4 why (may be null), $5 address, $6 id of the
-- request. Result: fate (cancelled: it had not started; requested: its worker will stop it; ended: and how; null: there
-- is no such job), whether jobs may wait for it.
WITH done AS MATERIALIZED (
    SELECT c.fate, c.has_dependents FROM job_cancel($1::uuid, $2::text, $4::text) c
), noted AS (
    INSERT INTO audit_log (object, object_id, action, after, actor, source, reason, address, request_id, project)
    SELECT 'job', $1::uuid, 'cancel', jsonb_build_object('fate', d.fate), $2, $3, $4, $5, $6,
        (SELECT j.project FROM jobs j WHERE j.id = $1)
    FROM done d
    WHERE d.fate IN ('cancelled', 'requested')
)
SELECT d.fate, d.has_dependents FROM done d
