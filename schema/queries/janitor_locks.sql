-- Frees locks that have expired or whose job runs no more, and drops rows that say nothing.
-- $1 at most so many of each
-- Result: queue of each group of jobs that may start now.
SELECT DISTINCT queue FROM locks_sweep($1::integer) AS queue
