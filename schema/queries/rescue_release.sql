-- Frees the locks and places of jobs that have been rescued, in the same transaction.
-- $1 job ids  $2 smallest, $3 largest id
-- Result: queue of each group of jobs that may start now.
SELECT DISTINCT queue FROM locks_release($1::uuid[], $2::uuid, $3::uuid) AS queue
