-- Looks after jobs that wait for others which have ended. Repeated, it goes on with those that are left.
-- $1 ids of the jobs that have ended, $2 at most so many that wait.
-- Result: of each that waited, its id, fate (ready, waits, cancelled), queue, and whether jobs wait for it in turn.
SELECT s.id, s.fate, s.queue, s.has_dependents
FROM dependencies_settle(
    ARRAY(SELECT DISTINCT d.job_id FROM job_dependencies d
          WHERE d.parent_id = ANY ($1::uuid[]) AND d.look_at IS NULL
          ORDER BY d.job_id LIMIT $2::int),
    NULL, $1::uuid[]) s
