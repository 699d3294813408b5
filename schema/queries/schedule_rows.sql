-- Schedules to compare with a document, or to write into one. $1 projects (null: all), $2 names of the owners whose
-- schedules are wanted whatever their project (null: none). Result: their columns, and PostgreSQL's clock.
SELECT s.*, clock_timestamp() AS clock
FROM schedules s
WHERE $1::text[] IS NULL OR s.project = ANY ($1::text[]) OR s.source = ANY ($2::text[])
ORDER BY s.project COLLATE "C", s.name COLLATE "C"
