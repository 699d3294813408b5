-- Instants of a schedule that a backfill is to leave out: those that were backfilled before and, with $4, those that
-- fired by its calendar. $1 id, $2 from (inclusive), $3 to (exclusive), $4 whether the calendar's count
-- Result: them in order, and whether each was backfilled.
SELECT t.due_at, bool_or(t.kind = 'backfill') FROM schedule_ticks t
 WHERE t.schedule_id = $1::uuid AND t.due_at >= $2::timestamptz AND t.due_at < $3::timestamptz
   AND (t.kind = 'backfill' OR $4::boolean AND t.kind = 'calendar' AND t.outcome = 'fired')
 GROUP BY t.due_at
 ORDER BY t.due_at
