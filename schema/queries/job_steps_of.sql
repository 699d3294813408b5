-- Steps of a job. $1 job id. Result: each step as JSON, by attempt and place.
SELECT row_to_json(s) FROM job_steps s WHERE s.job_id = $1::uuid ORDER BY s.attempt, s.seq
