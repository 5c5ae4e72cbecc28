SELECT due_at, seq, queue FROM jobs
WHERE ready = 0 AND priority = ?1 AND queue = ?2 AND due_at <= ?3
ORDER BY due_at, seq LIMIT ?4
