-- How dead letters stand that are named by their ids. $1 ids
-- Result: id, when it was sent again, as which job; of those that there are.
SELECT id, redriven_at, redriven_as FROM dead_letters WHERE id = ANY ($1::uuid[]) ORDER BY id
