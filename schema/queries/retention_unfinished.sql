-- Whether a range of ids has a job that has not ended.
-- $1 smallest id  $2 first id after the range
SELECT EXISTS (SELECT FROM jobs WHERE id >= $1::uuid AND id < $2::uuid
                  AND status IN ('pending', 'running'))
