-- Keeps unfinished jobs of schedules in mind that are not, or no longer, the last ones of them.
-- Arrays, one element a job: $1 schedule id  $2 job id
INSERT INTO open_jobs (schedule_id, job_id)
SELECT * FROM unnest($1::uuid[], $2::uuid[])
    ON CONFLICT (schedule_id, job_id) DO NOTHING
