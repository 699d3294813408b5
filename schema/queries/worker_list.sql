-- Workers and producers. $1 whether those that have stopped or are lost count too.
-- Result: each as JSON, with whether its lease holds (alive).
SELECT row_to_json(w)
FROM (
    SELECT x.*, x.state IN ('running', 'stopping') AND x.expires_at > clock_timestamp() AS alive
    FROM workers x
) w
WHERE $1::boolean OR w.state IN ('running', 'stopping')
ORDER BY w.kind DESC, w.started_at, w.id
