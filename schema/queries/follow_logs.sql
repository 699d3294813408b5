-- New log lines of jobs that are followed. Arrays, one element a follower: $1 job id  $2 attempt and  $3 seq of the last
-- line it has seen; $4 lines of each at most.
-- Result: place of the follower, attempt, seq, the line as JSON; by follower, in the order of attempt and seq.
SELECT f.n, l.attempt, l.seq, row_to_json(l)::text
  FROM unnest($1::uuid[], $2::integer[], $3::integer[]) WITH ORDINALITY AS f (job_id, attempt, seq, n)
 CROSS JOIN LATERAL (SELECT * FROM job_logs l
                      WHERE l.job_id = f.job_id AND (l.attempt, l.seq) > (f.attempt, f.seq)
                      ORDER BY l.attempt, l.seq
                      LIMIT $4::integer) l
 ORDER BY f.n, l.attempt, l.seq
