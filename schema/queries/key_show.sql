-- Keys by id, or by prefix or name, without sessions; those that were revoked last. $1 id (null: by the others), $2 prefix,
-- $3 name, $4 only of this project (null: of any). Result: each as JSON.
SELECT json_build_object('id', k.id, 'name', k.name, 'prefix', k.prefix, 'scope', k.scope, 'project', k.project,
                         'state', CASE WHEN k.revoked_at IS NOT NULL THEN 'revoked'
                                       WHEN k.expires_at <= clock_timestamp() THEN 'expired' ELSE 'active' END,
                         'sessions', (SELECT count(*) FROM api_keys s
                                      WHERE s.parent_id = k.id AND s.revoked_at IS NULL AND s.expires_at > clock_timestamp()),
                         'expires_at', k.expires_at, 'last_used_at', k.last_used_at, 'revoked_at', k.revoked_at,
                         'created_at', k.created_at, 'created_by', k.created_by)
  FROM api_keys k
 WHERE k.parent_id IS NULL AND CASE WHEN $1::uuid IS NULL THEN k.prefix = $2::text OR k.name = $3::text ELSE k.id = $1 END
   AND ($4::text IS NULL OR k.project = $4)
 ORDER BY k.revoked_at NULLS FIRST, k.id DESC
 LIMIT 10
