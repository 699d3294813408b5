-- How many dead letters are to be sent again. $1 reason, $2 topic, $3 field, $4 put there from, $5 before, $6 ids (each
-- may be null: any), $7 whether also those that were sent again
SELECT count(*)
FROM dead_letters x
WHERE ($1::text IS NULL OR x.reason = $1)
    AND ($2::text IS NULL OR x.topic = $2)
    AND ($3::text IS NULL OR x.field = $3)
    AND ($4::timestamptz IS NULL OR x.at >= $4)
    AND ($5::timestamptz IS NULL OR x.at < $5)
    AND ($6::uuid[] IS NULL OR x.id = ANY ($6))
    AND ($7::boolean OR x.redriven_at IS NULL)
