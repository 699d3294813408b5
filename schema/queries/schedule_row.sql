-- One schedule, to compute with. $1 id. Result: its columns, PostgreSQL's clock, and decided_until: the last instant
-- that its ledger has decided (null: none), which lies ahead of the clock where that has been put back.
SELECT s.*, clock_timestamp() AS clock,
       (SELECT coalesce(t.until, t.due_at) FROM schedule_ticks t
         WHERE t.schedule_id = s.id AND t.kind = 'calendar'
         ORDER BY t.due_at DESC LIMIT 1) AS decided_until
  FROM schedules s WHERE s.id = $1::uuid
