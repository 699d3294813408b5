-- A schedule in a time zone is saved. $1 name, $2 version of tzdata, $3 hash of the rules by which it was computed
INSERT INTO timezones (name, version, hash) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING
