-- Claims external ids and dedup keys for jobs to be. Repeatable: a key that the same job has is its own.
-- $1 project, $2 type, $3 kind, $4 key, $5 job id, of each; distinct and sorted by the first four;
-- $6 window in seconds.
-- Result: job id, job id that has the key now, whether the key is an external id; of each.
WITH given AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::uuid[])
        AS g (project, type, kind, key, job_id)
), mine AS (
    INSERT INTO dedup_keys AS d (project, type, kind, key, job_id, expires_at)
    SELECT project, type, kind, key, job_id, statement_timestamp() + $6::bigint * interval '1 second'
    FROM given
    ON CONFLICT (project, type, kind, key) DO UPDATE
    SET job_id = excluded.job_id, expires_at = excluded.expires_at
    WHERE d.expires_at <= statement_timestamp() OR d.job_id = excluded.job_id
    RETURNING project, type, kind, key, job_id
)
SELECT g.job_id, coalesce(m.job_id, d.job_id) AS has_it, g.kind = 'external_id' AS is_id
FROM given g
LEFT JOIN mine m USING (project, type, kind, key)
LEFT JOIN dedup_keys d USING (project, type, kind, key)
