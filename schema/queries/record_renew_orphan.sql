-- Keeps the lease of a worker that is gone for as long as another records what it has left in its spool: its jobs
-- are not to be rescued, and run again, while their results are being written. A lease that has lapsed stays so.
-- $1 worker id.
UPDATE workers
SET expires_at = clock_timestamp() + lease_s * interval '1 second'
WHERE id = $1::uuid AND expires_at > clock_timestamp()
