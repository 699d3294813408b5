-- Takes the lock that tells workers to leave a queue. $1 name of the lock, $2 seconds it holds.
-- Result: token; null: somebody else holds it.
SELECT lock_try('default', $1::text, 'jobmill topics recreate', $2::float8)
