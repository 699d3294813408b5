-- Dead letters, without their values. $1 reason, $2 topic, $3 field, $4 put there from, $5 before, $6 whether they were
-- sent again, $7 only ids below this one (each may be null: any), $8 limit, $9 offset
-- Result: each as JSON, newest first.
SELECT row_to_json(d)
FROM (
    SELECT x.id, x.topic, x.partition, x.record_offset, x.key, octet_length(x.value) AS value_bytes,
        x.headers, x.reason, x.field, x.detail, x.at, x.redriven_at, x.redriven_as
    FROM dead_letters x
    WHERE ($1::text IS NULL OR x.reason = $1)
        AND ($2::text IS NULL OR x.topic = $2)
        AND ($3::text IS NULL OR x.field = $3)
        AND ($4::timestamptz IS NULL OR x.at >= $4)
        AND ($5::timestamptz IS NULL OR x.at < $5)
        AND ($6::boolean IS NULL OR (x.redriven_at IS NOT NULL) = $6)
        AND ($7::uuid IS NULL OR x.id < $7)
) d
ORDER BY d.id DESC
LIMIT $8::bigint OFFSET $9::bigint
