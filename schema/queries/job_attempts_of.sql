-- Attempts of a job that did not complete or have output. $1 job id. Result: each as JSON, by number.
SELECT row_to_json(a) FROM job_attempts a WHERE a.job_id = $1::uuid ORDER BY a.attempt
