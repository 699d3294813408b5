-- Searches jobs by how a searchable value of metadata begins, whatever the case of its letters: along the index on
-- key and value, all of it in the range of ids, then by id.
-- $1 status, $2 type, $3 project, $4 queue, $5 schedule id (each may be null: any), $6 limit, $7 offset,
-- $8 whether callbacks count, $9 from this id on, $10 below this id, $11 started from, $12 started before,
-- $13 completed from, $14 completed before, $15 metadata that it has, an object of texts (each may be null: any).
-- $16 key, $17 beginning.
-- Result: each job as JSON, newest first.
SELECT row_to_json(j)
FROM job_metadata m
CROSS JOIN LATERAL (SELECT * FROM jobs WHERE id = m.job_id LIMIT 1) j
WHERE m.key = $16::text
    AND lower(left(m.value, 200)) COLLATE "C" >= lower(left($17::text, 200)) COLLATE "C"
    AND lower(left(m.value, 200)) COLLATE "C" < lower(left($17, 200)) || chr(1114111) COLLATE "C"
    AND starts_with(lower(m.value), lower($17))
    AND m.job_id >= coalesce($9::uuid, '00000000-0000-0000-0000-000000000000')
    AND m.job_id < coalesce($10::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
    AND ($1::text IS NULL OR j.status = $1)
    AND ($2::text IS NULL OR j.type = $2)
    AND ($3::text IS NULL OR j.project = $3)
    AND ($4::text IS NULL OR j.queue = $4)
    AND ($5::uuid IS NULL OR j.schedule_id = $5)
    AND ($8::bool OR j.callback_of IS NULL)
    AND ($11::timestamptz IS NULL OR j.started_at >= $11)
    AND ($12::timestamptz IS NULL OR j.started_at < $12)
    AND ($13::timestamptz IS NULL OR j.completed_at >= $13)
    AND ($14::timestamptz IS NULL OR j.completed_at < $14)
    AND ($15::jsonb IS NULL OR NOT EXISTS (SELECT FROM jsonb_each_text($15) w
                                           WHERE j.metadata ->> w.key IS DISTINCT FROM w.value))
ORDER BY m.job_id DESC
LIMIT $6::bigint OFFSET $7::bigint
