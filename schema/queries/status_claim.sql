-- A program outside takes a job that waits and is due: it is running then, under a lease of its own. Not one that
-- needs a lock, waits for others, or has expired.
-- $1 job id, $2 id of the lease's row, $3 who takes it, $4 seconds of the lease. Result: a row if it was taken.
WITH gone AS (
    DELETE FROM pending_jobs p
    WHERE p.job_id = $1::uuid AND p.state IN ('unpublished', 'published', 'ready') AND p.lock_name IS NULL
        AND p.reason IS DISTINCT FROM 'depends_on'
        AND (p.state <> 'ready' OR p.visible_at <= statement_timestamp())
        AND (p.start_by IS NULL OR p.start_by > statement_timestamp())
    RETURNING p.job_id
), leased AS (
    INSERT INTO workers (id, kind, host, pid, version, concurrency, running, lease_s, expires_at)
    SELECT $2::uuid, 'outside', $3::text, 0, '', 1, 1, $4::integer, clock_timestamp() + make_interval(secs => $4)
    FROM gone
), claimed AS (
    INSERT INTO claims (worker_id, seq, job_ids) SELECT $2::uuid, 1, ARRAY[job_id] FROM gone
), started AS (
    UPDATE jobs j
    SET status = 'running', attempt = attempt + 1, worker_id = $2::uuid, started_at = statement_timestamp(),
        updated_at = statement_timestamp()
    FROM gone g
    WHERE j.id = g.job_id AND j.id = $1::uuid AND j.status = 'pending'
    RETURNING j.id
)
SELECT id FROM started
