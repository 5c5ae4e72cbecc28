-- Of each queue, by the first in line of each priority: a seek each.
WITH RECURSIVE level (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM level WHERE n < 10)
SELECT q.name, min((
    SELECT j.due_at FROM jobs j
    WHERE j.ready = 1 AND j.queue = q.number AND j.priority = level.n
    ORDER BY j.seq LIMIT 1
)) FROM queues q, level
GROUP BY q.number
