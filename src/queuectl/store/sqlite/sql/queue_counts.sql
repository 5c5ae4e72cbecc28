SELECT q.name, q.paused, q.max_running, c.state, coalesce(c.n, 0)
FROM queues q LEFT JOIN counts c ON c.queue = q.number
ORDER BY q.number
