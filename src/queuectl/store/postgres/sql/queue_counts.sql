SELECT q.name, q.paused, q.max_running, c.state, c.n
FROM queuectl.queues q LEFT JOIN (
    SELECT queue, state, sum(n)::bigint AS n FROM (
        SELECT queue, state, n FROM queuectl.counts
        UNION ALL
        SELECT queue, state, n FROM queuectl.count_changes
    ) both_kinds
    GROUP BY queue, state
) c ON c.queue = q.number
ORDER BY q.number
