-- Makes the weekly partitions of the near past and of the two weeks ahead, as far as they are missing.
-- Result: how many were made.
-- The set_config comes first: nobody is to queue behind us for long.
SELECT partition_ensure(greatest(clock_timestamp() - interval '8 days', r.dropped_before),
                        clock_timestamp() + interval '14 days')
  FROM set_config('lock_timeout', '2s', true), retention r
