-- Writes a calendar: a new one, or with $5 another definition of one that is there.
-- $1 project, $2 name, $3 definition, $4 description (null: as it was), $5 whether it may be there
-- Result: name; no row: it is there, and may not be.
INSERT INTO calendars (project, name, definition, description)
VALUES ($1, $2, $3, $4)
ON CONFLICT (project, name) DO UPDATE SET definition = EXCLUDED.definition,
    description = coalesce(EXCLUDED.description, calendars.description),
    version = calendars.version + 1, updated_at = clock_timestamp()
WHERE $5::boolean
RETURNING name
