-- Next instants of schedules that are locked. Arrays, one element a schedule: $1 id  $2 next_run_at  $3 next_skip_at
UPDATE schedules s
   SET next_run_at = u.next_run_at, next_skip_at = u.next_skip_at
  FROM unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[]) AS u (id, next_run_at, next_skip_at)
 WHERE s.id = u.id AND s.id = ANY ($1::uuid[])
