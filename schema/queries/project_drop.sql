-- Deletes a project of which nothing is left but its jobs. $1 name.
DELETE FROM projects WHERE name = $1
