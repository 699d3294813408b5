-- Locks a schedule against edits and firing. $1 id. Result: a row if there is such a schedule.
SELECT 1 FROM schedules s WHERE s.id = $1::uuid FOR UPDATE
