-- New jobs, with their pending rows. A job whose id is there already is left alone, pending row and all.
-- Arrays, one element a job:
-- $1 id  $2 external_id  $3 project  $4 type  $5 queue  $6 profile  $7 params  $8 max_attempts (0: as
-- the type says)  $9 timeout_s (0: as the type says)  $10 priority  $11 ordering_key  $12 exclusive
-- $13 schedule_id  $14 due_at  $15 dedup_key  $16 metadata  $17 callback_url  $18 trace_context
-- $19 submitted_by  $20 run_at  $21 start_by  $22 state of the pending row  $23 visible_at
-- $24 reason  $25 message  $26 depends_on  $27 request_id
-- Result: a row for each that waits for others.
WITH input AS MATERIALIZED (
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
                         $7::jsonb[], $8::integer[], $9::integer[], $10::smallint[], $11::text[],
                         $12::text[], $13::uuid[], $14::timestamptz[], $15::text[], $16::jsonb[],
                         $17::text[], $18::text[], $19::text[], $20::timestamptz[],
                         $21::timestamptz[], $22::text[], $23::timestamptz[], $24::text[],
                         $25::text[], $26::jsonb[], $27::text[])
        AS t (id, external_id, project, type, queue, profile, params, max_attempts, timeout_s,
              priority, ordering_key, exclusive, schedule_id, due_at, dedup_key, metadata,
              callback_url, trace_context, submitted_by, run_at, start_by, state, visible_at, reason,
              message, depends_on, request_id)
), announced AS MATERIALIZED (
    SELECT t.type, coalesce(d.max_attempts, 3) AS max_attempts, coalesce(d.searchable, '{}') AS searchable, d.ordered
      FROM (SELECT DISTINCT type FROM input) t
      LEFT JOIN LATERAL (SELECT max_attempts, searchable, ordered FROM job_types WHERE name = t.type
                          ORDER BY announced_at DESC LIMIT 1) d ON true
), made AS (
    INSERT INTO jobs (id, external_id, project, type, queue, profile, params, max_attempts, timeout_s,
                      priority, ordering_key, exclusive, schedule_id, due_at, dedup_key, metadata,
                      callback_url, trace_context, submitted_by, run_at, start_by, depends_on, request_id)
    SELECT i.id, i.external_id, i.project, i.type, i.queue, i.profile, i.params,
           coalesce(nullif(i.max_attempts, 0), a.max_attempts), nullif(i.timeout_s, 0), i.priority,
           i.ordering_key, i.exclusive, i.schedule_id, i.due_at, i.dedup_key, i.metadata,
           i.callback_url, i.trace_context, i.submitted_by, i.run_at, i.start_by,
           i.depends_on, i.request_id
      FROM input i JOIN announced a ON a.type = i.type
    ON CONFLICT (id) DO NOTHING
    RETURNING id
), searchable AS (
    INSERT INTO job_metadata (job_id, key, value)
    SELECT i.id, m.key, m.value
      FROM input i
      JOIN announced a ON a.type = i.type AND a.searchable <> '{}'
      JOIN made ON made.id = i.id
     CROSS JOIN LATERAL jsonb_each_text(i.metadata) AS m (key, value)
     WHERE m.key = ANY (a.searchable) AND m.value IS NOT NULL
    ON CONFLICT (job_id, key) DO NOTHING
), waiting AS (
    INSERT INTO pending_jobs (job_id, state, visible_at, due_at, queue, type, project, priority, start_by,
                              lock_name, ordered, reason, message)
    SELECT i.id, CASE WHEN l.lock_name IS NULL THEN i.state ELSE 'ready' END, i.visible_at,
           CASE WHEN l.lock_name IS NOT NULL THEN i.visible_at END, i.queue, i.type, i.project, i.priority,
           i.start_by, l.lock_name, l.ordered,
           CASE WHEN i.reason = 'depends_on' THEN i.reason WHEN l.ordered THEN 'its place in its key'
                WHEN l.lock_name IS NOT NULL THEN 'waits for lock ' || l.lock_name ELSE i.reason END,
           CASE WHEN l.lock_name IS NULL THEN i.message END
      FROM input i
      JOIN announced a ON a.type = i.type
     CROSS JOIN LATERAL lock_of(i.type, i.ordering_key, i.exclusive, a.ordered) AS l (lock_name, ordered)
     WHERE i.id IN (SELECT id FROM made)
     ORDER BY i.id
    RETURNING job_id, reason
)
SELECT job_depend(job_id) FROM waiting WHERE reason = 'depends_on'
