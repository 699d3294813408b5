-- Calendars to compare with a document, or to write into one. $1 projects (null: all)
-- Result: project, name, definition, description.
SELECT c.project, c.name, c.definition::text, c.description
FROM calendars c
WHERE $1::text[] IS NULL OR c.project = ANY ($1::text[])
ORDER BY c.project COLLATE "C", c.name COLLATE "C"
