-- The names of all projects.
SELECT name FROM projects
