-- Gives back dedup keys that records have claimed again whose jobs had ended without completing: their end had
-- released them. Of each: $1 project, $2 type, $3 key, $4 job id.
DELETE FROM dedup_keys d
USING unnest($1::text[], $2::text[], $3::text[], $4::uuid[]) AS g (project, type, key, job_id)
WHERE d.project = g.project AND d.type = g.type AND d.kind = 'dedup_key' AND d.key = g.key AND d.job_id = g.job_id
    AND EXISTS (SELECT FROM jobs j WHERE j.id = g.job_id AND j.outcome IS NOT NULL)
