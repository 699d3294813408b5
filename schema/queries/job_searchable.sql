-- Whether a key of metadata is indexed: some type, or that one, declares it searchable.
-- $1 key, $2 type (null: any). Result: a row if so.
SELECT 1 FROM job_types t WHERE $1::text = ANY (t.searchable) AND ($2::text IS NULL OR t.name = $2) LIMIT 1
