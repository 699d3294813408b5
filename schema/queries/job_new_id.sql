-- An id for a job to be, by the clock of this server, so that submitting it can be repeated. Result: it.
SELECT uuid7()
