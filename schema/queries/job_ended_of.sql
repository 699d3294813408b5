-- Of jobs that somebody waits for, those that have ended, and those that are asked for as they are.
-- $1 ids, $2 ids asked for as they are. Result: id, it as JSON.
SELECT j.id, row_to_json(j)
FROM jobs j
WHERE j.id = ANY ($1::uuid[])
    AND (j.status IN ('completed', 'failed', 'cancelled', 'expired') OR j.id = ANY ($2::uuid[]))
