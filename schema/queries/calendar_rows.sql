-- Calendars to compare with a document, or to write into one. $1 projects (null: all)
-- Result: project, name, definition, description, how many schedules use it.
SELECT c.project, c.name, c.definition::text, c.description,
       (SELECT count(*) FROM schedules s WHERE s.project = c.project AND s.calendar = c.name)
FROM calendars c
WHERE $1::text[] IS NULL OR c.project = ANY ($1::text[])
ORDER BY c.project COLLATE "C", c.name COLLATE "C"
