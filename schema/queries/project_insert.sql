-- Adds a project. $1 name, $2 description, $3 min_interval_s (null: 1). Result: it as JSON; no row: it is there.
INSERT INTO projects (name, description, min_interval_s) VALUES ($1, $2, coalesce($3::integer, 1))
ON CONFLICT (name) DO NOTHING
RETURNING json_build_object('name', name, 'description', description, 'min_interval_s', min_interval_s,
                            'created_at', created_at, 'updated_at', updated_at)
