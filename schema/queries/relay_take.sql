-- Takes unpublished jobs for this relay by moving visible_at ahead; nobody else takes them meanwhile.
-- $1 most rows  $2 most bytes of messages, but at least one row  $3 seconds until others may take them
-- The clock is read in a subquery so that it can be an index condition. What jobs says is looked up row
-- by row: each look-up goes to one partition.
WITH due AS MATERIALIZED (
    SELECT job_id, visible_at, seq, octet_length(message) AS bytes
      FROM pending_jobs
     WHERE state = 'unpublished' AND visible_at <= (SELECT clock_timestamp())
     ORDER BY visible_at
     LIMIT $1
       FOR UPDATE SKIP LOCKED
), fit AS MATERIALIZED (
    SELECT job_id
      FROM (SELECT job_id, coalesce(sum(bytes) OVER (
                       ORDER BY visible_at, seq
                       ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before
              FROM due) d
     WHERE before <= $2
), taken AS (
    UPDATE pending_jobs p
       SET visible_at = clock_timestamp() + make_interval(secs => $3)
     WHERE p.job_id = ANY (ARRAY(SELECT job_id FROM fit))
    RETURNING p.job_id, p.queue, p.type, p.message
)
SELECT t.job_id, t.queue, t.type, t.message, j.ordering_key, j.due_at
  FROM taken t
  LEFT JOIN LATERAL (SELECT ordering_key, due_at FROM jobs WHERE id = t.job_id LIMIT 1) j ON true
