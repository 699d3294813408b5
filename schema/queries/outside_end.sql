-- The lease of a job that a program outside has ended, in the same transaction. $1 id of the lease's row, $2 job id,
-- $3 whether the job has ended (not handed back): the event about it is still to be published.
WITH unclaimed AS (
    DELETE FROM claims WHERE worker_id = $1::uuid
), told AS (
    INSERT INTO unannounced (job_id) SELECT $2::uuid WHERE $3::bool ON CONFLICT DO NOTHING
)
UPDATE workers SET state = 'stopped', running = 0 WHERE id = $1
