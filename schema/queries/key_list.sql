-- Keys, newest first, without sessions. $1 whether those that were revoked or have expired too, $2 only those of this
-- project (null: all), $3 only those older than the one with this id (null: from the newest on), $4 limit, $5 offset.
-- Result: each as JSON.
SELECT json_build_object('id', k.id, 'name', k.name, 'prefix', k.prefix, 'scope', k.scope, 'project', k.project,
                         'state', CASE WHEN k.revoked_at IS NOT NULL THEN 'revoked'
                                       WHEN k.expires_at <= clock_timestamp() THEN 'expired' ELSE 'active' END,
                         'sessions', (SELECT count(*) FROM api_keys s
                                      WHERE s.parent_id = k.id AND s.revoked_at IS NULL AND s.expires_at > clock_timestamp()),
                         'expires_at', k.expires_at, 'last_used_at', k.last_used_at, 'revoked_at', k.revoked_at,
                         'created_at', k.created_at, 'created_by', k.created_by)
  FROM api_keys k
 WHERE k.parent_id IS NULL
   AND ($1::boolean OR (k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp())))
   AND ($2::text IS NULL OR k.project = $2)
   AND ($3::uuid IS NULL OR k.id < $3)
 ORDER BY k.id DESC
 LIMIT $4::bigint OFFSET $5::bigint
