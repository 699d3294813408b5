-- Dead letters that are to be sent again, oldest first. $1 reason, $2 topic, $3 field, $4 put there from, $5 before,
-- $6 ids (each may be null: any), $7 whether also those that were sent again, $8 only ids above this one (null: all),
-- $9 limit
-- Result: id, topic, key, value, headers, whether it was sent again, the id of the job to come of it.
SELECT x.id, x.topic, x.key, x.value, x.headers, x.redriven_at IS NOT NULL, x.redriven_as
FROM dead_letters x
WHERE ($1::text IS NULL OR x.reason = $1)
    AND ($2::text IS NULL OR x.topic = $2)
    AND ($3::text IS NULL OR x.field = $3)
    AND ($4::timestamptz IS NULL OR x.at >= $4)
    AND ($5::timestamptz IS NULL OR x.at < $5)
    AND ($6::uuid[] IS NULL OR x.id = ANY ($6))
    AND ($7::boolean OR x.redriven_at IS NULL)
    AND ($8::uuid IS NULL OR x.id > $8)
ORDER BY x.id
LIMIT $9::bigint
