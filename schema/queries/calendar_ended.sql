-- Of the schedules that a calendar has ended, those that are to be named. $1 ids, $2 ids that may end.
-- Result: names, at most five, and in each row how many there are.
SELECT s.name, count(*) OVER () FROM schedules s
WHERE s.id = ANY ($1::uuid[]) AND s.id <> ALL ($2::uuid[])
ORDER BY s.name
LIMIT 5
