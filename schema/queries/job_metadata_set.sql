-- Those keys of metadata that a job's type declares searchable. $1 job id, $2 metadata.
INSERT INTO job_metadata (job_id, key, value)
SELECT j.id, m.key, m.value
FROM jobs j
CROSS JOIN LATERAL jsonb_each_text($2::jsonb) m
WHERE j.id = $1::uuid AND m.value IS NOT NULL
    AND m.key = ANY ((SELECT t.searchable FROM job_types t WHERE t.name = j.type ORDER BY t.announced_at DESC LIMIT 1)::text[])
ON CONFLICT (job_id, key) DO UPDATE SET value = excluded.value
