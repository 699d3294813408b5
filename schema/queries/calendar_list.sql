-- Lists calendars by project and name. $1 project (null: any), $2 limit, $3 offset, $4 and $5 project
-- and name behind which the page begins (null: from the first on).
-- Result: each as JSON, without its rules: how many of them exclude and include, how many schedules use it.
SELECT json_build_object('project', c.project, 'name', c.name, 'description', c.description,
    'exclude', jsonb_array_length(coalesce(c.definition -> 'exclude', '[]')),
    'include', jsonb_array_length(coalesce(c.definition -> 'include', '[]')),
    'schedules', (SELECT count(*) FROM schedules s WHERE s.project = c.project AND s.calendar = c.name),
    'version', c.version, 'created_at', c.created_at, 'updated_at', c.updated_at)
FROM calendars c
WHERE ($1::text IS NULL OR c.project = $1)
    AND ($5::text IS NULL OR (c.project, c.name) > ($4::text, $5))
ORDER BY c.project, c.name
LIMIT $2::bigint OFFSET $3::bigint
