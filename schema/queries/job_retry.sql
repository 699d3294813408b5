-- Submits an ended job again, for a person or script; a second time it does nothing. $1 its id, $2 id of the new one,
-- $3 actor, $4 source, $5 reason, $6 address, $7 id of the request. Result: that id; null: there is no such job.
WITH done AS MATERIALIZED (
    SELECT job_retry($1::uuid, $2::uuid, $3::text, $7::text) AS id
), noted AS (
    INSERT INTO audit_log (object, object_id, action, after, actor, source, reason, address, request_id, project)
    SELECT 'job', $1::uuid, 'retry', jsonb_build_object('retried_as', d.id), $3, $4, $5, $6, $7,
        (SELECT j.project FROM jobs j WHERE j.id = $1)
    FROM done d
    WHERE d.id IS NOT NULL
        AND NOT EXISTS (SELECT FROM audit_log a WHERE a.object = 'job' AND a.object_id = $1::text AND a.action = 'retry'
                            AND a.after ->> 'retried_as' = $2::text)
)
SELECT d.id FROM done d
