-- Where the next rows of an attempt go. $1 job id, $2 attempt, $3 name of a step (may be null).
-- Result: seq of the last log row, of that step's row (null: there is none), of the last step.
SELECT coalesce((SELECT max(l.seq) FROM job_logs l
                  WHERE l.job_id = $1::uuid AND l.attempt = $2::integer AND l.seq < 1000000000), 0),
       (SELECT s.seq FROM job_steps s WHERE s.job_id = $1 AND s.attempt = $2 AND s.name = $3::text ORDER BY s.seq DESC LIMIT 1),
       coalesce((SELECT max(s.seq) FROM job_steps s WHERE s.job_id = $1 AND s.attempt = $2), 0)
