-- Locks the places of jobs that hold a lock and have ended, before the jobs themselves: the order in which all do it.
-- $1 job ids.
SELECT FROM pending_jobs WHERE job_id = ANY ($1::uuid[]) ORDER BY job_id FOR UPDATE
