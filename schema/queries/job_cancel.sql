-- Cancels a job for a person or script. $1 job id, $2 why (may be null).
-- Result: fate (cancelled: it had not started; requested: its worker will stop it; ended: and how; null: there
-- is no such job), whether jobs may wait for it.
SELECT c.fate, c.has_dependents FROM job_cancel($1::uuid, 'cli:' || session_user, $2::text) c
