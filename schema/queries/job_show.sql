-- One job. $1 id. Result: it as JSON.
SELECT row_to_json(j) FROM jobs j WHERE j.id = $1::uuid
