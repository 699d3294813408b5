-- Moves schedules on to their next instants.
-- Arrays, one element a schedule: $1 id  $2 next_run_at (null: there is none)  $3 next_skip_at (null: none)
-- $4 last_run_at (null: it did not fire)  $5 last_job_id (null: the same)  $6 instants that did not fire
UPDATE schedules s
   SET next_run_at = u.next_run_at,
       next_skip_at = u.next_skip_at,
       last_run_at = coalesce(u.last_run_at, s.last_run_at),
       last_job_id = coalesce(u.last_job_id, s.last_job_id),
       skipped_runs = s.skipped_runs + u.skipped
  FROM unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[], $4::timestamptz[], $5::uuid[], $6::bigint[])
       AS u (id, next_run_at, next_skip_at, last_run_at, last_job_id, skipped)
 WHERE s.id = u.id AND s.id = ANY ($1::uuid[])
