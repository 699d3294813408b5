-- Notes with which rules the schedules of a time zone were computed. $1 name, $2 version of tzdata, $3 hash of the rules
INSERT INTO timezones AS t (name, version, hash) VALUES ($1, $2, $3)
ON CONFLICT (name) DO UPDATE SET version = EXCLUDED.version, hash = EXCLUDED.hash, computed_at = clock_timestamp()
