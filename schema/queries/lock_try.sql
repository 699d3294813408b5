-- Takes a lock for somebody if it is free. $1 project, $2 name, $3 owner, $4 milliseconds.
-- Result: the lock as JSON, or null if it is taken.
SELECT CASE WHEN l.token IS NOT NULL THEN json_build_object('project', $1::text, 'name', $2::text, 'token', l.token,
    'owner', $3::text, 'expires_at', statement_timestamp() + $4::bigint * interval '1 ms') END
FROM lock_try($1, $2, $3, $4 / 1000.0) AS l (token)
