/* The statements of the bare loop: the rows that DESIGN's whole path writes, and nothing else. */
#ifndef JM_BENCH_BARE_SQL_H
#define JM_BENCH_BARE_SQL_H

#include "schema/sql.h"

/* $1 worker id, $2 ids */
static const jm_sql bare_accept = {
    "bare_accept",
    "INSERT INTO jobs (id, type, queue, status, attempt, submitted_by, created_at, started_at, "
    "updated_at, worker_id) SELECT id, 'noop', 'default', 'running', 1, 'kafka', "
    "statement_timestamp(), statement_timestamp(), statement_timestamp(), $1::uuid "
    "FROM unnest($2::uuid[]) AS g (id) ON CONFLICT (id) DO NOTHING"};
/* $1 worker id, $2 count of batches, $3 ids */
static const jm_sql bare_claim = {
    "bare_claim",
    "INSERT INTO claims (worker_id, seq, job_ids) VALUES ($1::uuid, $2::bigint, $3::uuid[])"};
/* $1 worker id, of each job: $2 id, $3 attempt, $4 milliseconds; $5 smallest, $6 largest id */
static const jm_sql bare_record = {
    "bare_record",
    "WITH ended AS (UPDATE jobs j SET status = 'completed', completed_at = statement_timestamp(), "
    "duration_ms = e.ms, updated_at = statement_timestamp() "
    "FROM unnest($2::uuid[], $3::int[], $4::bigint[]) AS e (id, attempt, ms) "
    "WHERE j.id = e.id AND j.id = ANY ($2::uuid[]) AND j.id >= $5::uuid AND j.id <= $6::uuid "
    "AND j.attempt = e.attempt AND j.worker_id = $1::uuid AND j.status = 'running' "
    "RETURNING j.id, j.attempt, e.ms), "
    "steps AS (INSERT INTO job_steps (job_id, attempt, seq, name, status, created_at, started_at, "
    "completed_at, duration_ms) SELECT id, attempt, 1, 'run', 'success', statement_timestamp(), "
    "statement_timestamp(), statement_timestamp(), ms FROM ended), "
    "logs AS (INSERT INTO job_logs (job_id, attempt, seq, step, ts, level, message) "
    "SELECT id, attempt, 1, 'run', statement_timestamp(), 'INFO', 'step run succeeded' FROM ended) "
    "SELECT count(*) FROM ended"};
/* $1 worker id, $2 count of batches */
static const jm_sql bare_unclaim = {
    "bare_unclaim", "DELETE FROM claims WHERE worker_id = $1::uuid AND seq = $2::bigint"};

#endif
