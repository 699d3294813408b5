-- The demo's account: fired, completed, failed, retried, lost, separated by spaces. Lost is what was promised (a tick
-- that fired, an id that a submission was given) and has not ended. Variables: ids and external (comma-separated).
WITH promised AS (
    SELECT job_id AS id FROM jobmill.schedule_ticks WHERE outcome = 'fired'
    UNION
    SELECT unnest(string_to_array(nullif(:'ids', ''), ','))::uuid
), named AS (
    SELECT unnest(string_to_array(nullif(:'external', ''), ',')) AS external_id
)
SELECT (SELECT count(*) FROM jobmill.schedule_ticks WHERE outcome = 'fired'),
       count(*) FILTER (WHERE status = 'completed'),
       count(*) FILTER (WHERE status = 'failed'),
       coalesce(sum(greatest(attempt - 1, 0)), 0),
       (SELECT count(*) FROM promised p LEFT JOIN jobmill.jobs j USING (id) WHERE j.completed_at IS NULL)
       + (SELECT count(*) FROM named n LEFT JOIN jobmill.jobs j USING (external_id) WHERE j.completed_at IS NULL)
FROM jobmill.jobs;
