SELECT a.finished_at, coalesce(j.id, 'j' || a.seq), a.outcome, a.duration, a.error
FROM queuectl.attempts a LEFT JOIN queuectl.jobs j ON j.seq = a.seq
ORDER BY a.token DESC
LIMIT $1
