-- Whether a key of metadata can be searched by: some type declares it searchable, or jobs of a type that is gone have
-- it. $1 key. Result: true or false.
SELECT EXISTS (SELECT FROM job_types t WHERE $1::text = ANY (t.searchable))
    OR EXISTS (SELECT FROM job_metadata m WHERE m.key = $1::text)
