-- Changes a job: metadata is merged, the priority is that of one that waits. Noted in the audit log.
-- $1 id, $2 metadata (may be null), $3 priority (may be null), $4 actor, $5 source, $6 reason, $7 address, $8 id of the
-- request.
-- Result: a row if it was changed.
WITH old AS MATERIALIZED (
    SELECT j.id, j.metadata, j.priority FROM jobs j WHERE j.id = $1::uuid AND ($3::integer IS NULL OR j.status = 'pending')
    FOR UPDATE
), changed AS (
    UPDATE jobs j
    SET metadata = CASE WHEN $2::jsonb IS NULL THEN j.metadata ELSE coalesce(j.metadata, '{}') || $2 END,
        priority = coalesce($3, j.priority), updated_at = clock_timestamp()
    FROM old WHERE j.id = old.id AND j.id = $1::uuid
    RETURNING j.id, j.metadata, j.priority, j.project
), waiting AS (
    UPDATE pending_jobs p SET priority = $3 FROM changed WHERE p.job_id = $1::uuid AND $3 IS NOT NULL
), noted AS (
    INSERT INTO audit_log (object, object_id, action, before, after, actor, source, reason, address, request_id, project)
    SELECT 'job', old.id::text, 'update', jsonb_build_object('metadata', old.metadata, 'priority', old.priority),
        jsonb_build_object('metadata', changed.metadata, 'priority', changed.priority), $4::text, $5::text, $6::text,
        $7::text, $8::text, changed.project
    FROM old, changed
)
SELECT id FROM changed
