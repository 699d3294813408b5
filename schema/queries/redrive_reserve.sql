-- Says as which jobs dead letters will be sent, before they are: who is interrupted sends them under the same ids when
-- he comes again. Of each: $1 id, $2 id of the job, $3 the one that it had when it was looked at; $4 whether those
-- may be sent that were sent before
-- Result: ids of those that nobody else has taken meanwhile.
WITH asked AS (
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) AS a (id, job_id, seen)
), locked AS (
    SELECT d.id FROM dead_letters d WHERE d.id = ANY ($1::uuid[]) ORDER BY d.id FOR UPDATE
)
UPDATE dead_letters d
SET redriven_as = a.job_id, redriven_at = NULL
FROM asked a
JOIN locked l ON l.id = a.id
WHERE d.id = a.id AND d.redriven_as IS NOT DISTINCT FROM a.seen AND ($4::boolean OR d.redriven_at IS NULL)
RETURNING d.id
