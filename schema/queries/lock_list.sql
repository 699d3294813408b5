-- Locks that are held, limits that were set, and keys that a failed job blocks. $1 project (null: any), $2 name (null:
-- any), $3 limit, $4 offset, $5 to $8 project, name, slot and blocking job behind which the page begins (null: from the
-- first on); what has no slot comes last of its name, with no job first.
-- Result: each slot that is held, each limit with nobody in it, and each blocked key, as JSON, by name.
SELECT json_build_object('project', project, 'name', name, 'slot', slot, 'capacity', capacity, 'owner', owner,
    'token', token, 'expires_at', expires_at, 'blocked_by', blocked_by,
    'waiting', (SELECT count(*) FROM (SELECT 1 FROM pending_jobs p WHERE p.project = l.project AND p.lock_name = l.name
        AND p.state = 'ready' LIMIT 10000) w))
FROM (
    SELECT project, name, slot, capacity, owner, token, expires_at, NULL::uuid AS blocked_by FROM locks
    WHERE owner IS NOT NULL AND (expires_at IS NULL OR expires_at > clock_timestamp())
    UNION ALL
    SELECT f.project, f.name, NULL, max(f.capacity), NULL, NULL, NULL, NULL FROM locks f
    GROUP BY f.project, f.name
    HAVING max(f.capacity) > 1 AND bool_and(f.owner IS NULL OR f.expires_at <= clock_timestamp())
    UNION ALL
    SELECT b.project, b.lock_name, NULL, 1, NULL, NULL, NULL, b.job_id FROM pending_jobs b
    WHERE b.state = 'held' AND b.reason IS NOT NULL
) l
WHERE ($1::text IS NULL OR l.project = $1) AND ($2::text IS NULL OR l.name = $2)
    AND ($6::text IS NULL OR (l.project, l.name, coalesce(l.slot, 2147483647)::bigint,
        coalesce(l.blocked_by, '00000000-0000-0000-0000-000000000000')) > ($5::text, $6, $7::bigint, $8::uuid))
ORDER BY l.project, l.name, coalesce(l.slot, 2147483647), coalesce(l.blocked_by, '00000000-0000-0000-0000-000000000000')
LIMIT $3::bigint OFFSET $4::bigint
