-- Makes the partitions of a time range that are missing. $1 from, $2 to.
SELECT partition_ensure($1::timestamptz, $2::timestamptz)
