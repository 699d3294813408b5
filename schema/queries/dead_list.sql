-- Dead letters, without their values. $1 reason, $2 topic (each may be null: any), $3 limit, $4 offset.
-- Result: each as JSON, newest first.
SELECT row_to_json(d)
FROM (
    SELECT x.id, x.topic, x.partition, x.record_offset, x.key, octet_length(x.value) AS value_bytes,
        x.headers, x.reason, x.field, x.detail, x.at, x.redriven_at, x.redriven_as
    FROM dead_letters x
    WHERE ($1::text IS NULL OR x.reason = $1)
        AND ($2::text IS NULL OR x.topic = $2)
    ORDER BY x.id DESC
    LIMIT $3::bigint OFFSET $4::bigint
) d
ORDER BY d.id DESC
