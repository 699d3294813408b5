-- Gives back the keys of a job that came to nothing. $1 project, $2 type, $3 external_id, $4 dedup_key, $5 job id.
DELETE FROM dedup_keys
WHERE project = $1 AND type = $2 AND job_id = $5::uuid
    AND ((kind = 'external_id' AND key = $3) OR (kind = 'dedup_key' AND key = $4))
