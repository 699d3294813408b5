-- Schedules that are locked, to compute with. $1 ids. Result: their columns, PostgreSQL's clock, and decided_until, as in
-- schedule_row.sql.
SELECT s.*, clock_timestamp() AS clock,
       (SELECT coalesce(t.until, t.due_at) FROM schedule_ticks t
         WHERE t.schedule_id = s.id AND t.kind = 'calendar'
         ORDER BY t.due_at DESC LIMIT 1) AS decided_until
  FROM schedules s WHERE s.id = ANY ($1::uuid[]) ORDER BY s.id
