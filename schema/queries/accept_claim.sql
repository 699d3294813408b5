-- Names the jobs that a batch may have started. A superset does no harm: what counts is jobs.worker_id.
-- $1 worker id, $2 the worker's count of its batches, $3 job ids.
INSERT INTO claims (worker_id, seq, job_ids) VALUES ($1::uuid, $2::bigint, $3::uuid[])
ON CONFLICT (worker_id, seq) DO NOTHING
