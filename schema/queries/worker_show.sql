-- One worker or producer. $1 id.
-- Result: it as JSON, with whether its lease holds (alive).
SELECT row_to_json(w)
FROM (
    SELECT x.*, x.state IN ('running', 'stopping') AND x.expires_at > clock_timestamp() AS alive
    FROM workers x
    WHERE x.id = $1::uuid
) w
