-- Instants of a schedule that fired by its calendar. $1 id, $2 from (inclusive), $3 to (exclusive). Result: them, in order.
SELECT t.due_at FROM schedule_ticks t
 WHERE t.schedule_id = $1::uuid AND t.due_at >= $2::timestamptz AND t.due_at < $3::timestamptz
   AND t.kind = 'calendar' AND t.outcome = 'fired'
 ORDER BY t.due_at
