-- Workers and producers. $1 whether those that have stopped or are lost count too, $2 to $4 kind, start and id of the
-- one behind which the page begins (null: from the first on), $5 limit, $6 offset.
-- Result: each as JSON, with whether its lease holds (alive).
SELECT row_to_json(w)
FROM (
    SELECT x.*, x.state IN ('running', 'stopping') AND x.expires_at > clock_timestamp() AS alive
    FROM workers x
) w
WHERE ($1::boolean OR w.state IN ('running', 'stopping'))
    AND ($2::text IS NULL OR w.kind < $2 OR (w.kind = $2 AND (w.started_at, w.id) > ($3::timestamptz, $4::uuid)))
ORDER BY w.kind DESC, w.started_at, w.id
LIMIT $5::bigint OFFSET $6::bigint
