-- Takes changes of schedules, for the events about them. $1 how many at most.
-- Result: of each the row of the audit log, the schedule, what its event says was done, project, when, and the event's data as
-- JSON; in the order of the changes.
WITH taken AS MATERIALIZED (
    DELETE FROM unannounced_changes u
     WHERE u.id = ANY (ARRAY(SELECT n.id FROM unannounced_changes n ORDER BY n.id LIMIT $1::int
                                FOR UPDATE SKIP LOCKED))
    RETURNING u.id
)
SELECT a.id, a.object_id::uuid,
       CASE a.action WHEN 'create' THEN 'created' WHEN 'update' THEN 'updated'
           WHEN 'delete' THEN 'deleted' WHEN 'enable' THEN 'enabled' WHEN 'disable' THEN 'disabled'
           WHEN 'pause' THEN 'paused' WHEN 'resume' THEN 'resumed' WHEN 'rollback' THEN 'rolled_back'
           ELSE 'updated' END,
       coalesce(a.project, d.definition ->> 'project', 'default'), a.at,
       json_strip_nulls(json_build_object('id', a.object_id, 'project', coalesce(a.project, d.definition ->> 'project', 'default'),
           'name', d.definition ->> 'name', 'type', d.definition ->> 'type',
           'external_id', d.definition ->> 'external_id', 'version', a.version, 'action', a.action,
           'actor', a.actor, 'source', a.source, 'reason', a.reason,
           'changed', (SELECT coalesce(json_agg(k ORDER BY k), '[]')
                         FROM jsonb_object_keys(coalesce(a.before, '{}') || coalesce(a.after, '{}')) k
                        WHERE a.before -> k IS DISTINCT FROM a.after -> k)))::text
  FROM audit_log a
 CROSS JOIN LATERAL (SELECT coalesce(a.after, a.before, '{}') AS definition) d
 WHERE a.id = ANY (ARRAY(SELECT id FROM taken))
 ORDER BY a.id
