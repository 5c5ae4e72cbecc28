-- How things stand for a worker: what is asked of it, and whether there is anything to do.
-- $1 worker. `drained` looks at counts only where nothing is due.
WITH open AS MATERIALIZED (
    SELECT q.number
    FROM queuectl.workers w
        JOIN queuectl.queues q ON w.queues = '{}' OR q.name = ANY (w.queues)
    WHERE w.id = $1 AND NOT q.paused
), waiting AS MATERIALIZED (
    SELECT FROM open CROSS JOIN LATERAL (
        SELECT FROM queuectl.jobs j WHERE j.ready AND j.queue = open.number LIMIT 1
    ) first
)
SELECT w.lease_until > clock_timestamp() AS lives,
    w.stop_seconds,
    ARRAY(SELECT j.token FROM queuectl.jobs j WHERE j.worker_id = $1 AND j.cancel) AS cancels,
    (SELECT j.due_at FROM queuectl.jobs j WHERE NOT j.ready ORDER BY j.due_at LIMIT 1),
    CASE WHEN EXISTS (SELECT FROM waiting) THEN false ELSE NOT EXISTS (
        SELECT FROM (
            SELECT queue, state, n FROM queuectl.counts
            UNION ALL
            SELECT queue, state, n FROM queuectl.count_changes
        ) c
        WHERE c.state IN ('failed', 'processing') AND c.queue IN (SELECT number FROM open)
        GROUP BY c.queue, c.state HAVING sum(c.n) > 0
    ) END AS drained
FROM queuectl.workers w
WHERE w.id = $1
