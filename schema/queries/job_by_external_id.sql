-- The newest job that has an external id. $1 external id, $2 project (null: any). Result: its id.
SELECT id FROM jobs WHERE external_id = $1::text AND ($2::text IS NULL OR project = $2::text) ORDER BY id DESC LIMIT 1
