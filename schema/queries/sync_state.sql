-- What came of the last round of a sync. $1 source
-- Result: hash, etag, error (each may be null), and how many milliseconds ago it was; no row: there has been none.
SELECT y.hash, y.etag, y.error, (extract(epoch FROM clock_timestamp() - y.at) * 1000)::bigint AS age_ms
FROM schedule_syncs y
WHERE y.source = $1
