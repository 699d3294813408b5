-- Sessions, prepared transactions and replication slots that keep dead rows from being removed.
-- $1 age in seconds above which they count. Result: each as JSON, oldest first.
SELECT json_build_object('what', what, 'seconds', seconds)
FROM (
    SELECT format('session %s of %s (%s), %s', pid, coalesce(usename, '?'), coalesce(nullif(application_name, ''),
            'no application name'), coalesce(state, 'state hidden')) AS what,
        extract(epoch FROM clock_timestamp() - xact_start)::bigint AS seconds
    FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
        AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL OR state LIKE 'idle in transaction%')
    UNION ALL
    SELECT format('prepared transaction %s of %s', gid, owner), extract(epoch FROM clock_timestamp() - prepared)::bigint
    FROM pg_prepared_xacts
    WHERE database = current_database()
) s
WHERE seconds > $1::bigint
ORDER BY seconds DESC
LIMIT 10
