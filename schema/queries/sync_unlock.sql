-- Gives the right to sync schedules back. Result: whether this session had it.
SELECT pg_advisory_unlock(hashtextextended(current_schema() || ' schedule_sync', 0))
