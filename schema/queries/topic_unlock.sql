-- Lets go of the lock that told workers to leave a queue. $1 name of the lock, $2 token.
DELETE FROM locks WHERE project = 'default' AND name = $1::text AND token = $2::bigint
