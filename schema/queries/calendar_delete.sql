-- Deletes a calendar. $1 project, $2 name.
-- Result: name; no row: there is none. Refused (23503) while a schedule uses it.
DELETE FROM calendars WHERE project = $1 AND name = $2 RETURNING name
