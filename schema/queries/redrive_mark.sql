-- Dead letters that Kafka has acknowledged. Of each: $1 id, $2 id of the job; $3 actor, $4 source, $5 reason, $6 whether
-- their values were replaced, $7 address, $8 id of the request
WITH marked AS (
    UPDATE dead_letters d
    SET redriven_at = clock_timestamp()
    FROM unnest($1::uuid[], $2::uuid[]) AS a (id, job_id)
    WHERE d.id = a.id AND d.redriven_as = a.job_id
    RETURNING d.id, d.topic, d.redriven_as
)
INSERT INTO audit_log (object, object_id, action, after, actor, source, reason, address, request_id)
SELECT 'dead_letter', m.id::text, 'redrive',
       jsonb_build_object('topic', m.topic, 'redriven_as', m.redriven_as, 'value_replaced', $6::boolean),
       $3, $4, $5, $7, $8
FROM marked m
