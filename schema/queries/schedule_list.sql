-- Lists schedules, newest first.
-- $1 project, $2 type, $3 enabled (each may be null: any), $4 limit, $5 offset
-- Result: each as JSON.
SELECT row_to_json(s)
FROM schedules s
WHERE ($1::text IS NULL OR s.project = $1)
    AND ($2::text IS NULL OR s.type = $2)
    AND ($3::boolean IS NULL OR s.enabled = $3)
ORDER BY s.id DESC
LIMIT $4::bigint OFFSET $5::bigint
