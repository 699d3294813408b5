-- Writes decided instants into the ledger. One that is there already stays as it is.
-- Arrays, one element a tick: $1 schedule id  $2 due_at  $3 outcome  $4 until  $5 count  $6 reason
-- $7 job id
-- Result: the jobs whose ticks are new; only these are to be made.
WITH made AS (
    INSERT INTO schedule_ticks (schedule_id, due_at, outcome, until, count, reason, job_id)
    SELECT * FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::timestamptz[], $5::bigint[],
                         $6::text[], $7::uuid[])
    ON CONFLICT (schedule_id, due_at, kind) DO NOTHING
    RETURNING job_id
)
SELECT job_id FROM made WHERE job_id IS NOT NULL
