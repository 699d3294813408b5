-- The newest job that has an external id. $1 external id. Result: its id.
SELECT id FROM jobs WHERE external_id = $1::text ORDER BY id DESC LIMIT 1
