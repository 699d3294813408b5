-- Submits a job for a person or script. $1 type, $2 params, $3 options (fields of the message, and queue), $4 by whom.
-- Result: its id.
SELECT submit_as($4::text, $1::text, $2::jsonb, $3::jsonb)
