-- Lists schedules, newest first.
-- $1 project, $2 type, $3 enabled (each may be null: any), $4 limit, $5 offset, $6 external id, $7 metadata as an object of
-- texts that must be equal, $8 id before which the page begins, $9 paused (each may be null)
-- Result: each as JSON; recent_success_rate: in percent, of its last 20 jobs that ended.
SELECT row_to_json(r)
FROM (SELECT s.*, round(100.0 * h.good / nullif(h.ended, 0), 1) AS recent_success_rate
      FROM (SELECT * FROM schedules s
            WHERE ($1::text IS NULL OR s.project = $1)
                AND ($2::text IS NULL OR s.type = $2)
                AND ($3::boolean IS NULL OR s.enabled = $3)
                AND ($9::boolean IS NULL OR s.paused = $9)
                AND ($6::text IS NULL OR s.external_id = $6)
                AND ($7::jsonb IS NULL OR NOT EXISTS (SELECT FROM jsonb_each_text($7) f
                                                       WHERE s.metadata ->> f.key IS DISTINCT FROM f.value))
                AND ($8::uuid IS NULL OR s.id < $8)
            ORDER BY s.id DESC
            LIMIT $4::bigint OFFSET $5::bigint) s
      CROSS JOIN LATERAL (SELECT count(*) AS ended, count(*) FILTER (WHERE e.status = 'completed') AS good
                          FROM (SELECT j.status FROM jobs j
                                WHERE j.schedule_id = s.id AND j.status NOT IN ('pending', 'running')
                                ORDER BY j.id DESC LIMIT 20) e) h
      ORDER BY s.id DESC) r
