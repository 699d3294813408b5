-- Projects, newest first. $1 name of the only one (null: all), $2 and $3 created_at and name of the last one of the
-- page before (null: from the newest on), $4 limit, $5 offset. Result: each as JSON.
SELECT json_build_object('name', p.name, 'description', p.description, 'min_interval_s', p.min_interval_s,
                         'schedules', (SELECT count(*) FROM schedules s WHERE s.project = p.name),
                         'created_at', p.created_at, 'updated_at', p.updated_at)
  FROM projects p
 WHERE ($1::text IS NULL OR p.name = $1)
   AND ($2::timestamptz IS NULL OR (p.created_at, p.name) < ($2, $3::text))
 ORDER BY p.created_at DESC, p.name DESC
 LIMIT $4::bigint OFFSET $5::bigint
