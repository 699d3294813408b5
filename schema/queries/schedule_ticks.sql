-- The ledger of a schedule, newest first. $1 id, $2 from, $3 to (either may be null), $4 outcome, $5 kind (null: any),
-- $6 limit, $7 offset, $8 and $9 instant and kind behind which the page begins (null: at the newest)
-- Result: each as JSON, with what became of the job.
SELECT json_build_object('due_at', t.due_at, 'until', t.until, 'count', t.count, 'kind', t.kind, 'outcome', t.outcome,
                         'reason', t.reason, 'job_id', t.job_id, 'decided_at', t.decided_at, 'job_status', j.status,
                         'job_error', j.error)
  FROM schedule_ticks t
  LEFT JOIN jobs j ON j.id = t.job_id
 WHERE t.schedule_id = $1::uuid
   AND ($2::timestamptz IS NULL OR coalesce(t.until, t.due_at) >= $2)
   AND ($3::timestamptz IS NULL OR t.due_at <= $3)
   AND ($4::text IS NULL OR t.outcome = $4)
   AND ($5::text IS NULL OR t.kind = $5)
   AND ($8::timestamptz IS NULL OR t.due_at < $8 OR (t.due_at = $8 AND t.kind > $9::text))
 ORDER BY t.due_at DESC, t.kind
 LIMIT $6::bigint OFFSET $7::bigint
