-- A new schedule.
-- $1 id, $2 name, $3 project, $4 type, $5 profile, $6 params, $7 queue, $8 priority, $9 metadata,
-- $10 kind, $11 cron_expression, $12 interval_seconds, $13 anchor_at, $14 run_at, $15 timezone,
-- $16 dst_gap, $17 dst_fold, $18 jitter_seconds, $19 starts_at, $20 ends_at, $21 overlap,
-- $22 max_instances, $23 misfire_grace_seconds, $24 catch_up, $25 catch_up_limit, $26 coalesce_grace,
-- $27 description, $28 next_run_at, $29 enabled
INSERT INTO schedules (id, name, project, type, profile, params, queue, priority, metadata,
    kind, cron_expression, interval_seconds, anchor_at, run_at, timezone,
    dst_gap, dst_fold, jitter_seconds, starts_at, ends_at, overlap,
    max_instances, misfire_grace_seconds, catch_up, catch_up_limit, coalesce_grace,
    description, next_run_at, enabled)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9,
    $10, $11, $12, $13, $14, $15,
    $16, $17, $18, $19, $20, $21,
    $22, $23, $24, $25, $26,
    $27, $28, $29)
