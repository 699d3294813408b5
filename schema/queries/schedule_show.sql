-- One schedule. $1 id. Result: it as JSON.
SELECT row_to_json(s) FROM schedules s WHERE s.id = $1::uuid
