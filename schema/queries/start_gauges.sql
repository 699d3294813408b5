-- For the metrics: how many rows wait by state, counted up to 10,001 of each, and since when the oldest of a queue is ready.
-- $1 queues.
-- Result: whether it is a count by state, state or queue, rows or microseconds.
SELECT true, 'unpublished', (SELECT count(*) FROM (
    SELECT 1 FROM pending_jobs WHERE state = 'unpublished' LIMIT 10001) p)
UNION ALL
SELECT true, 'published', (SELECT count(*) FROM (
    SELECT 1 FROM pending_jobs WHERE state = 'published' LIMIT 10001) p)
UNION ALL
SELECT true, 'ready', (SELECT count(*) FROM (
    SELECT 1 FROM pending_jobs WHERE state = 'ready' LIMIT 10001) p)
UNION ALL
SELECT false, q.queue, (SELECT coalesce((extract(epoch FROM statement_timestamp() - min(p.visible_at)) * 1000000)::bigint, 0)
    FROM (SELECT visible_at FROM pending_jobs
          WHERE state = 'ready' AND queue = q.queue AND visible_at <= statement_timestamp()
          LIMIT 10001) p)
FROM unnest($1::text[]) AS q (queue)
