-- With the runs that each may still start (NULL: no limit).
SELECT q.number, q.name, q.max_running - coalesce(c.n, 0)
FROM queues q LEFT JOIN counts c ON c.queue = q.number AND c.state = 'processing'
WHERE NOT q.paused
