-- One project, locked against other changes of it. $1 name. Result: it as JSON.
SELECT json_build_object('name', p.name, 'description', p.description, 'min_interval_s', p.min_interval_s,
                         'created_at', p.created_at, 'updated_at', p.updated_at)
  FROM projects p
 WHERE p.name = $1
   FOR UPDATE
