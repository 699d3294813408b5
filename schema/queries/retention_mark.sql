-- Says up to when history is dropped, before it is: nobody makes those partitions again.
-- $1 that instant
UPDATE retention SET dropped_before = greatest(dropped_before, $1::timestamptz)
