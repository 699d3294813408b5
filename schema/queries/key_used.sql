-- Notes when keys were last used; those of sessions count for their keys as well. $1 ids, $2 when, one for each.
WITH used AS (
    SELECT u.id, u.at FROM unnest($1::uuid[], $2::timestamptz[]) AS u (id, at)
), all_used AS (
    SELECT x.id, max(x.at) AS at
    FROM (SELECT u.id, u.at FROM used u
          UNION ALL
          SELECT k.parent_id, u.at FROM used u JOIN api_keys k ON k.id = u.id WHERE k.parent_id IS NOT NULL) x
    GROUP BY x.id
), locked AS (
    SELECT k.id, a.at FROM api_keys k JOIN all_used a ON a.id = k.id ORDER BY k.id FOR NO KEY UPDATE OF k
)
UPDATE api_keys k SET last_used_at = greatest(k.last_used_at, l.at) FROM locked l WHERE k.id = l.id
