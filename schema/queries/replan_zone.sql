-- Locks a page of the schedules that are due in a time zone. $1 timezone, $2 null, $3 last id of the page before,
-- $4 at most so many. Result: ids in order. Elapsed time and single instants know no zone, unless a calendar does.
SELECT s.id FROM schedules s
 WHERE s.timezone = $1::text AND $2::text IS NULL AND s.id > $3::uuid AND s.enabled AND NOT s.paused
   AND (s.kind = 'cron' OR s.calendar IS NOT NULL)
 ORDER BY s.id LIMIT $4::integer
   FOR UPDATE
