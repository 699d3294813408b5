-- Deletes a project that is locked, with its schedules, calendars, locks and keys. Jobs stay; they name their
-- schedule until janitor_forget.sql has been through them. $1 name, $2 actor, $3 source, $4 reason, $5 address,
-- $6 id of the request. Result: how many schedules, calendars and keys went.
WITH gone AS (
    DELETE FROM schedules s WHERE s.project = $1
    RETURNING s.id, s.version,
        jsonb_strip_nulls(to_jsonb(s) - ARRAY['next_run_at', 'next_skip_at', 'last_run_at', 'last_status', 'last_job_id',
            'total_runs', 'successful_runs', 'failed_runs', 'skipped_runs', 'created_at', 'updated_at']) AS was
), forgotten AS (
    INSERT INTO schedules_deleted (id) SELECT g.id FROM gone g
), noted AS (
    INSERT INTO audit_log (object, object_id, version, action, before, actor, source, reason, address, request_id, project)
    SELECT 'schedule', g.id, g.version + 1, 'delete', g.was, $2, $3, $4, $5, $6, $1 FROM gone g
), calendars_gone AS (
    DELETE FROM calendars c WHERE c.project = $1 RETURNING c.name
), locks_gone AS (
    DELETE FROM locks l WHERE l.project = $1
), keys_gone AS (
    DELETE FROM api_keys k WHERE k.project = $1 RETURNING k.parent_id
)
SELECT (SELECT count(*) FROM gone), (SELECT count(*) FROM calendars_gone),
    (SELECT count(*) FROM keys_gone k WHERE k.parent_id IS NULL)
