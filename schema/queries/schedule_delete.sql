-- Deletes a schedule that is locked, with the lock of its jobs unless one of them holds it. $1 id
-- Its jobs name it until janitor_forget.sql has been through them.
WITH gone AS (
    DELETE FROM schedules s WHERE s.id = $1::uuid RETURNING s.id, s.project
), lock AS (
    DELETE FROM locks l USING gone g
     WHERE l.project = g.project AND l.name = 'schedule:' || g.id AND l.owner IS NULL
)
INSERT INTO schedules_deleted (id) SELECT g.id FROM gone g
