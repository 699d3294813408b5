-- Time zones that schedules use. Result: name, version of tzdata and hash of the rules by which they were computed.
SELECT t.name, t.version, t.hash FROM timezones t ORDER BY t.name
