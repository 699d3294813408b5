-- Deletes a job that has ended, with its history. What job_stats counts stays. $1 id, $2 actor, $3 source, $4 reason,
-- $5 address, $6 id of the request. Result: a row if it was deleted.
WITH gone AS (
    DELETE FROM jobs j
    WHERE j.id = $1::uuid AND j.status IN ('completed', 'failed', 'cancelled', 'expired')
    RETURNING j.id, j.project, j.type, j.external_id, j.status, j.schedule_id, j.submitted_by, j.created_at, j.completed_at
), place AS (
    DELETE FROM pending_jobs p USING gone WHERE p.job_id = $1::uuid AND p.job_id = gone.id
), steps AS (
    DELETE FROM job_steps s USING gone WHERE s.job_id = $1::uuid AND s.job_id = gone.id
), logs AS (
    DELETE FROM job_logs l USING gone WHERE l.job_id = $1::uuid AND l.job_id = gone.id
), attempts AS (
    DELETE FROM job_attempts a USING gone WHERE a.job_id = $1::uuid AND a.job_id = gone.id
), metadata AS (
    DELETE FROM job_metadata m USING gone WHERE m.job_id = $1::uuid AND m.job_id = gone.id
), noted AS (
    INSERT INTO audit_log (object, object_id, action, before, actor, source, reason, address, request_id, project)
    SELECT 'job', g.id, 'delete', jsonb_strip_nulls(to_jsonb(g)), $2, $3, $4, $5, $6, g.project FROM gone g
)
SELECT id FROM gone
