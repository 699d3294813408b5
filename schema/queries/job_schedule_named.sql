-- Schedules of that name, whatever their project. $1 name, $2 project or null. Result: id of each.
SELECT id FROM schedules WHERE name = $1::text AND ($2::text IS NULL OR project = $2) ORDER BY id LIMIT 2
