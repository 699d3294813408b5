-- Another definition for a schedule that is locked. $1 id, $2 to $36 as in schedule_insert.sql.
-- Result: its version now.
UPDATE schedules
   SET (name, project, external_id, description, type, profile, params, queue, priority,
        exclusive, metadata, callback_url, kind, cron_expression, interval_seconds, anchor_at, run_at, timezone,
        dst_gap, dst_fold, jitter_seconds, starts_at, ends_at, calendar, enabled, paused,
        overlap, max_instances, misfire_grace_seconds, catch_up, catch_up_limit, coalesce_grace,
        source, next_run_at, next_skip_at, version, updated_at)
     = ($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23,
        $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, version + 1, clock_timestamp())
 WHERE id = $1
RETURNING version
