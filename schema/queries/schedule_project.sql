-- What a schedule that is saved must know of its project.
-- $1 name
-- Result: min_interval_s, and PostgreSQL's clock; no row: there is no such project.
SELECT p.min_interval_s, clock_timestamp() AS clock
FROM projects p
WHERE p.name = $1
