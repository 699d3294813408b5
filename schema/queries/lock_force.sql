-- Frees a lock, whatever its token, and a key that a failed job blocks. $1 project, $2 name.
-- Result: JSON with how much was freed and queues in which jobs may start now, or refusal.
SELECT json_build_object('freed', f.freed, 'queues', f.queues, 'refusal', f.refusal) FROM lock_force($1::text, $2::text) f
