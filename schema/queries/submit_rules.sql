-- What submissions are checked against: the projects, and the job types in their newest announcement.
-- Result: kind (project or type), name, params_schema, profiles, whether the type orders by key.
SELECT 'project' AS kind, p.name, NULL::jsonb AS params_schema, NULL::jsonb AS profiles, false AS ordered FROM projects p
UNION ALL
SELECT * FROM (
    SELECT DISTINCT ON (t.name) 'type' AS kind, t.name, t.params_schema, t.profiles, t.ordered
      FROM job_types t ORDER BY t.name, t.announced_at DESC) newest
