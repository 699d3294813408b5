-- A new schedule.
-- $1 id, then its definition in the order of schedule_columns.h: $2 name, $3 project, $4 external_id,
-- $5 description, $6 type, $7 profile, $8 params, $9 queue, $10 priority, $11 exclusive, $12 metadata,
-- $13 callback_url, $14 kind, $15 cron_expression, $16 interval_seconds, $17 anchor_at, $18 run_at, $19 timezone,
-- $20 dst_gap, $21 dst_fold, $22 jitter_seconds, $23 starts_at, $24 ends_at, $25 calendar, $26 enabled, $27 paused,
-- $28 overlap, $29 max_instances, $30 misfire_grace_seconds, $31 catch_up, $32 catch_up_limit, $33 coalesce_grace;
-- $34 source, $35 next_run_at, $36 next_skip_at
INSERT INTO schedules (id, name, project, external_id, description, type, profile, params, queue, priority,
    exclusive, metadata, callback_url, kind, cron_expression, interval_seconds, anchor_at, run_at, timezone,
    dst_gap, dst_fold, jitter_seconds, starts_at, ends_at, calendar, enabled, paused,
    overlap, max_instances, misfire_grace_seconds, catch_up, catch_up_limit, coalesce_grace,
    source, next_run_at, next_skip_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23,
    $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36)
