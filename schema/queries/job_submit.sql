-- Submits a job for a person or script. $1 type, $2 params, $3 options (fields of the message, and queue).
-- Result: its id.
SELECT submit_as('cli:' || session_user, $1::text, $2::jsonb, $3::jsonb)
