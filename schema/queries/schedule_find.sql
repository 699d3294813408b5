-- Ids of the schedules that a person may mean, at most two. An id that is one in the project means that schedule,
-- whatever others are called.
-- $1 id or null, $2 name, $3 project (null: any)
-- Result: id. By way of the projects, because names are indexed inside them.
SELECT s.id FROM schedules s WHERE s.id = $1::uuid AND ($3::text IS NULL OR s.project = $3)
UNION ALL
SELECT s.id
FROM projects p
JOIN schedules s ON s.project = p.name AND s.name = $2::text
WHERE ($3::text IS NULL OR p.name = $3) AND NOT EXISTS (SELECT FROM schedules i WHERE i.id = $1::uuid)
LIMIT 2
