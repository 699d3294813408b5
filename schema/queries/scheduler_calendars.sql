-- Calendars that schedules name. Arrays, one element a calendar: $1 project  $2 name  $3 version that is known
-- Result: number of the element (from 1), version, definition (null where that version is known); no row where
-- there is no such calendar.
SELECT k.n, c.version, CASE WHEN c.version <> k.known THEN c.definition END AS definition
  FROM unnest($1::text[], $2::text[], $3::integer[]) WITH ORDINALITY AS k (project, name, known, n)
  JOIN calendars c ON c.project = k.project AND c.name = k.name
 ORDER BY k.n
