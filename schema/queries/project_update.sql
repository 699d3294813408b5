-- Changes a project. $1 name, $2 description (null: none), $3 min_interval_s. Result: it as JSON.
UPDATE projects SET description = $2, min_interval_s = $3::integer, updated_at = clock_timestamp()
 WHERE name = $1
RETURNING json_build_object('name', name, 'description', description, 'min_interval_s', min_interval_s,
                            'created_at', created_at, 'updated_at', updated_at)
