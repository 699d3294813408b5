-- One dead letter, whole. $1 id. Result: it as JSON; key and value as bytea in hex.
SELECT row_to_json(d) FROM dead_letters d WHERE d.id = $1::uuid
