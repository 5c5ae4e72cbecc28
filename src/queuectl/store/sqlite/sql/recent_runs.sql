SELECT a.finished_at, coalesce(j.id, 'j' || a.seq), a.outcome, a.duration, a.error
FROM attempts a LEFT JOIN jobs j ON j.seq = a.seq
ORDER BY a.token DESC
LIMIT ?1
