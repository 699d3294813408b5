-- Who has a lock. $1 project, $2 name. Result: one owner, how many there are.
SELECT min(owner), count(*) FROM locks
WHERE project = $1::text AND name = $2::text AND owner IS NOT NULL
