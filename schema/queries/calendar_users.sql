-- Which schedules use a calendar. $1 project, $2 name.
-- Result: names, at most five, and in each row how many there are.
SELECT s.name, count(*) OVER () FROM schedules s
WHERE s.project = $1 AND s.calendar = $2
ORDER BY s.name
LIMIT 5
