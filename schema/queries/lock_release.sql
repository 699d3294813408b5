-- Releases a lock. $1 project, $2 name, $3 token. Result: JSON with queues in which jobs may start now, or refusal.
SELECT json_build_object('queues', r.queues, 'refusal', r.refusal) FROM lock_release($1::text, $2::text, $3::bigint) r
