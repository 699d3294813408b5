-- Puts records aside that could not become jobs.
-- Of each: $1 id derived from the record, $2 topic, $3 partition, $4 offset, $5 key, $6 value, $7 headers,
-- $8 reason, $9 field, $10 detail.
INSERT INTO dead_letters (id, topic, partition, record_offset, key, value, headers, reason, field, detail)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::int[], $4::bigint[], $5::bytea[], $6::bytea[], $7::jsonb[],
    $8::text[], $9::text[], $10::text[])
ON CONFLICT (id) DO NOTHING
