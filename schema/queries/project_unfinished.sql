-- Whether a project has jobs that have not ended: those that wait and those of claims, so that nothing depends on how
-- many jobs it ever had. $1 name. Result: how many, those that wait counted up to 1000.
SELECT (SELECT count(*) FROM (SELECT FROM pending_jobs p WHERE p.project = $1 AND p.state <> 'held' LIMIT 1000) w)
    + (SELECT count(*)
       FROM (SELECT DISTINCT job_id FROM claims c, unnest(c.job_ids) AS job_id) c
       CROSS JOIN LATERAL (SELECT j.project, j.status FROM jobs j WHERE j.id = c.job_id LIMIT 1) j
       WHERE j.status = 'running' AND j.project = $1)
