-- What jobmill doctor asks a server. Result: version, settings, clock, and the process that answers as JSON.
SELECT json_build_object('version_num', current_setting('server_version_num')::int,
    'version', current_setting('server_version'),
    'fsync', current_setting('fsync'),
    'synchronous_commit', current_setting('synchronous_commit'),
    'full_page_writes', current_setting('full_page_writes'),
    'in_recovery', pg_is_in_recovery(),
    'clock_us', (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
    'backend_pid', pg_backend_pid(),
    'database', current_database(),
    'user', current_user)
