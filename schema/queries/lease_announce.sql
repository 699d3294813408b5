-- Announces job types. Of each: $1 name, $2 definition hash, $3 description, $4 params_schema, $5 profiles,
-- $6 max_attempts, $7 backoff; $8 name and $9 key of each searchable metadata key; $10 depends, $11 whether it orders
-- by key, of each.
INSERT INTO job_types (name, definition_hash, description, params_schema, profiles, max_attempts, backoff,
    depends, ordered, searchable)
SELECT t.name, t.hash, t.description, t.params_schema, t.profiles, t.max_attempts, t.backoff, t.depends, t.ordered,
    ARRAY(SELECT s.key FROM unnest($8::text[], $9::text[]) AS s (name, key) WHERE s.name = t.name)
FROM unnest($1::text[], $2::text[], $3::text[], $4::jsonb[], $5::jsonb[], $6::int[], $7::jsonb[], $10::text[],
        $11::bool[])
    AS t (name, hash, description, params_schema, profiles, max_attempts, backoff, depends, ordered)
ON CONFLICT (name, definition_hash) DO UPDATE SET announced_at = clock_timestamp(), ordered = excluded.ordered
