-- JSON as the database writes it, so that two texts can be compared. $1, $2 JSON or null. Result: both.
SELECT $1::jsonb::text, $2::jsonb::text
