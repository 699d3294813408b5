-- Queues that their workers are to leave, because the topic is being made anew.
-- $1 names of the locks that say so, one a queue, in the order of the worker's queues.
-- Result: place in $1, from 1.
SELECT n
FROM unnest($1::text[]) WITH ORDINALITY AS q (name, n)
JOIN locks l ON l.project = 'default' AND l.name = q.name AND l.owner IS NOT NULL
    AND l.expires_at > clock_timestamp()
