-- The next open dependencies, and which of them are not open any more: what nobody has seen to.
-- $1 job id and $2 number of the last one looked at  $3 at most so many
-- Result: job id, number, whether its parent has ended or is gone.
SELECT d.job_id, d.n,
       CASE WHEN d.look_at IS NOT NULL THEN false
            ELSE coalesce(j.status NOT IN ('pending', 'running'), true) END
  FROM (SELECT job_id, n, parent_id, look_at FROM job_dependencies
         WHERE (job_id, n) > ($1::uuid, $2::integer)
         ORDER BY job_id, n LIMIT $3::integer) d
  LEFT JOIN LATERAL (SELECT status FROM jobs WHERE id = d.parent_id LIMIT 1) j ON true
 ORDER BY d.job_id, d.n
