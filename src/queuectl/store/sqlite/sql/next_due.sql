SELECT due_at FROM jobs WHERE ready = 0 ORDER BY due_at LIMIT 1
