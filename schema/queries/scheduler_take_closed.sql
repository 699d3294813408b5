-- Schedules with an instant that their calendar leaves out and that has come, locked against edits and other producers, earliest first.
-- $1 at most so many  $2 ids to leave out
-- Result: the columns of schedules, and clock: PostgreSQL's.
-- The clock is read in a subquery so that it can be an index condition.
SELECT s.*, (SELECT clock_timestamp()) AS clock
  FROM schedules s
 WHERE s.enabled AND NOT s.paused AND s.next_skip_at <= (SELECT clock_timestamp())
   AND s.id <> ALL ($2::uuid[])
 ORDER BY s.next_skip_at
 LIMIT $1
   FOR UPDATE SKIP LOCKED
