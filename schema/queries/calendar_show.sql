-- One calendar. $1 project, $2 name.
-- Result: it as JSON, with how many schedules use it; no row: there is none.
SELECT to_jsonb(c) || jsonb_build_object('schedules',
    (SELECT count(*) FROM schedules s WHERE s.project = c.project AND s.calendar = c.name))
FROM calendars c
WHERE c.project = $1 AND c.name = $2
