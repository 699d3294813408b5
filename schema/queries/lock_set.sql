-- Says how many may hold a lock at once. $1 project, $2 name, $3 capacity. Result: queues in which jobs may start now.
SELECT DISTINCT queue FROM lock_set($1::text, $2::text, $3::integer) AS queue
