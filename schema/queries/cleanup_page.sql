-- Ended jobs that are to go, oldest first. $1 only ids above this one, $2 first id that is not old, $3 project,
-- $4 statuses (each may be null: any), $5 at most so many
-- Result: ids, sorted.
SELECT j.id FROM jobs j
WHERE j.id > $1::uuid AND j.id < $2::uuid AND j.status IN ('completed', 'failed', 'cancelled', 'expired')
    AND ($3::text IS NULL OR j.project = $3) AND ($4::text[] IS NULL OR j.status = ANY ($4))
ORDER BY j.id
LIMIT $5::bigint
