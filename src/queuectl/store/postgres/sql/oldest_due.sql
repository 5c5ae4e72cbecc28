-- Of each queue, by the first in line of each priority: a seek each.
SELECT q.name, min(first.due_at)
FROM queuectl.queues q CROSS JOIN generate_series(1, 10) AS level (n)
CROSS JOIN LATERAL (
    SELECT j.due_at FROM queuectl.jobs j
    WHERE j.ready AND j.queue = q.number AND j.priority = level.n
    ORDER BY j.seq LIMIT 1
) first
GROUP BY q.name
