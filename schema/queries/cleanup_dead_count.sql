-- How many dead letters are old. $1 put there before, $2 whether also those that were not sent again
SELECT count(*) FROM dead_letters o WHERE o.at < $1::timestamptz AND ($2::boolean OR o.redriven_at IS NOT NULL)
