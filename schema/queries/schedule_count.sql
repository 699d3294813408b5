-- How many schedules a list has in all, as far as they are counted.
-- $1 project, $2 type, $3 enabled, $4 external id, $5 metadata as an object of texts that must be equal (each may be null:
-- any), $6 where counting stops, $7 paused (null: any)
-- Result: the number.
SELECT count(*)
FROM (SELECT FROM schedules s
      WHERE ($1::text IS NULL OR s.project = $1)
          AND ($2::text IS NULL OR s.type = $2)
          AND ($3::boolean IS NULL OR s.enabled = $3)
          AND ($7::boolean IS NULL OR s.paused = $7)
          AND ($4::text IS NULL OR s.external_id = $4)
          AND ($5::jsonb IS NULL OR NOT EXISTS (SELECT FROM jsonb_each_text($5) f
                                                 WHERE s.metadata ->> f.key IS DISTINCT FROM f.value))
      LIMIT $6::bigint) s
