-- Takes the right to sync schedules in this schema, for the session. Result: whether nobody else has it.
SELECT pg_try_advisory_lock(hashtextextended(current_schema() || ' schedule_sync', 0))
