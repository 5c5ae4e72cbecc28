-- The first in line of each queue and priority: a seek each.
SELECT min(first.due_at)
FROM queuectl.queues q CROSS JOIN generate_series(1, 10) AS level (n)
CROSS JOIN LATERAL (
    SELECT j.due_at FROM queuectl.jobs j
    WHERE j.ready AND j.queue = q.number AND j.priority = level.n
    ORDER BY j.seq LIMIT 1
) first
