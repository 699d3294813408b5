-- Submits an ended job again, for a person or script. $1 its id, $2 id of the new one. Result: that id; null: there
-- is no such job.
SELECT job_retry($1::uuid, $2::uuid, 'cli:' || session_user)
