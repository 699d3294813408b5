-- What came of a round of a sync. $1 source, $2 hash, $3 etag (both as they were where $2 is null), $4 outcome, $5 error,
-- $6 added, $7 changed, $8 deleted (as they were where the outcome is not changed).
INSERT INTO schedule_syncs (source, hash, etag, outcome, error, added, changed, deleted)
VALUES ($1, $2, $3, $4, $5, $6::integer, $7::integer, $8::integer)
ON CONFLICT (source) DO UPDATE SET at = clock_timestamp(), outcome = EXCLUDED.outcome, error = EXCLUDED.error,
    hash = coalesce(EXCLUDED.hash, schedule_syncs.hash),
    etag = CASE WHEN EXCLUDED.hash IS NULL THEN schedule_syncs.etag ELSE EXCLUDED.etag END,
    added = CASE WHEN EXCLUDED.outcome = 'changed' THEN EXCLUDED.added ELSE schedule_syncs.added END,
    changed = CASE WHEN EXCLUDED.outcome = 'changed' THEN EXCLUDED.changed ELSE schedule_syncs.changed END,
    deleted = CASE WHEN EXCLUDED.outcome = 'changed' THEN EXCLUDED.deleted ELSE schedule_syncs.deleted END
