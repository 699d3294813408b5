-- Projects to write into a backup. $1 project (null: all)
-- Result: each as JSON, by name.
SELECT json_build_object('name', p.name, 'description', p.description, 'min_interval_s', p.min_interval_s)
FROM projects p
WHERE $1::text IS NULL OR p.name = $1
ORDER BY p.name COLLATE "C"
