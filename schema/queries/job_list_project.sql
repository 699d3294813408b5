-- Lists the jobs of a project ($3 is not null): along the index on project and id.
-- $1 status, $2 type, $3 project, $4 queue, $5 schedule id (each may be null: any), $6 limit, $7 offset,
-- $8 whether callbacks count.
-- Result: each job as JSON, newest first.
SELECT row_to_json(j)
FROM jobs j
WHERE ($1::text IS NULL OR j.status = $1)
    AND ($2::text IS NULL OR j.type = $2)
    AND j.project = $3::text
    AND ($4::text IS NULL OR j.queue = $4)
    AND ($5::uuid IS NULL OR j.schedule_id = $5)
    AND ($8::bool OR j.callback_of IS NULL)
ORDER BY j.id DESC
LIMIT $6::bigint OFFSET $7::bigint
