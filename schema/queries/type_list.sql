-- Job types, in their newest announcement. $1 name or null: all, $2 name behind which the page begins
-- (null: from the first on), $3 limit, $4 offset.
-- Result: each as JSON, with how many workers that are alive can run it (workers) and how many
-- definitions of it workers have announced (definitions).
SELECT row_to_json(t)
FROM (
    SELECT DISTINCT ON (n.name) n.*,
        (SELECT count(*) FROM workers w
          WHERE n.name = ANY (w.types) AND w.state IN ('running', 'stopping')
              AND w.expires_at > clock_timestamp()) AS workers,
        (SELECT count(*) FROM job_types d WHERE d.name = n.name) AS definitions
    FROM job_types n
    WHERE ($1::text IS NULL OR n.name = $1) AND ($2::text IS NULL OR n.name > $2)
    ORDER BY n.name, n.announced_at DESC
) t
ORDER BY t.name
LIMIT $3::bigint OFFSET $4::bigint
