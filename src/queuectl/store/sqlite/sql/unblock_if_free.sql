UPDATE jobs SET ready = coalesce(due_at, 0) <= ?2
WHERE seq = ?1 AND state = 'pending' AND NOT EXISTS (SELECT 1 FROM waits WHERE seq = ?1)
RETURNING ready
