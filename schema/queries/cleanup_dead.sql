-- Drops old dead letters. $1 those put there before, $2 whether also those that were not sent again, $3 at most so many
-- Result: how many were dropped.
WITH gone AS (
    DELETE FROM dead_letters d
    WHERE d.id = ANY (ARRAY(
        SELECT o.id FROM dead_letters o
        WHERE o.at < $1::timestamptz AND ($2::boolean OR o.redriven_at IS NOT NULL)
        ORDER BY o.id
        LIMIT $3::integer
        FOR UPDATE SKIP LOCKED))
    RETURNING 1
)
SELECT count(*) FROM gone
