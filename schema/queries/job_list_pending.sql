-- Lists jobs that have not started: those of pending_jobs, whose jobs row is looked up by id, so that
-- nothing depends on an index on status.
-- $1 status (not looked at), $2 type, $3 project, $4 queue (each may be null: any), $5 schedule id (is null), $6 limit, $7 offset,
-- $8 whether callbacks count.
-- Result: each job as JSON, newest first.
WITH waiting AS MATERIALIZED (
    SELECT p.job_id
    FROM pending_jobs p
    WHERE p.state <> 'held'
        AND ($1::text IS NULL OR true)
        AND ($2::text IS NULL OR p.type = $2)
        AND ($3::text IS NULL OR p.project = $3)
        AND ($4::text IS NULL OR p.queue = $4)
        AND $5::uuid IS NULL
        AND ($8::bool OR p.type !~ '^jobmill[.]callback$')
    ORDER BY p.job_id DESC
    LIMIT $6::bigint OFFSET $7::bigint
)
SELECT row_to_json(j)
FROM waiting w
CROSS JOIN LATERAL (SELECT * FROM jobs WHERE id = w.job_id LIMIT 1) j
ORDER BY j.id DESC
