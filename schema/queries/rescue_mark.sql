-- Marks a worker as lost, unless it has renewed its lease meanwhile; the row stays locked, so that it
-- cannot until the transaction ends.
-- $1 worker id
-- Result: a row if it is lost.
UPDATE workers SET state = CASE state WHEN 'stopped' THEN state ELSE 'lost' END
 WHERE id = $1::uuid AND expires_at < clock_timestamp()
RETURNING id
