-- Writes decided instants into the ledger. One that is there already stays as it is.
-- Arrays, one element a tick: $1 schedule id  $2 due_at  $3 kind  $4 outcome  $5 until  $6 count  $7 reason
-- $8 job id
-- Result: the jobs whose ticks are new; only these are to be made.
WITH made AS (
    INSERT INTO schedule_ticks (schedule_id, due_at, kind, outcome, until, count, reason, job_id)
    SELECT * FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[], $5::timestamptz[], $6::bigint[],
                         $7::text[], $8::uuid[])
    ON CONFLICT (schedule_id, due_at, kind) DO NOTHING
    RETURNING job_id
)
SELECT job_id FROM made WHERE job_id IS NOT NULL
