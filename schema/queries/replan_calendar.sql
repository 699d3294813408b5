-- Locks a page of the schedules that are due by a calendar. $1 project, $2 calendar, $3 last id of the page before,
-- $4 at most so many. Result: ids in order.
SELECT s.id FROM schedules s
 WHERE s.project = $1::text AND s.calendar = $2::text AND s.id > $3::uuid AND s.enabled AND NOT s.paused
 ORDER BY s.id LIMIT $4::integer
   FOR UPDATE
