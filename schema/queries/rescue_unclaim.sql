-- Drops claims whose jobs have been rescued.
-- $1 worker id  $2 seqs
DELETE FROM claims WHERE worker_id = $1::uuid AND seq = ANY ($2::bigint[])
