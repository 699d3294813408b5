-- Schedules that a sync owns, and brings back by itself: a backup has them not.
-- Result: project, name.
SELECT s.project, s.name FROM schedules s WHERE s.source = 'sync'
