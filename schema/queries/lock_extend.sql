-- Keeps a lock. $1 project, $2 name, $3 token, $4 milliseconds from now. Result: the lock as JSON; with refusal, if it may not.
SELECT json_build_object('project', $1::text, 'name', $2::text, 'token', $3::bigint, 'expires_at', e.expires_at,
    'refusal', e.refusal)
FROM lock_extend($1, $2, $3, $4::bigint / 1000.0) e
