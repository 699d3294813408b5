-- Ends claims of which every job has been recorded. $1 worker id, $2 the worker's counts of the batches.
DELETE FROM claims WHERE worker_id = $1::uuid AND seq = ANY ($2::bigint[])
