-- Priorities and queues of what is due and not ready, the highest first: a seek for each of
-- them, however many jobs.
WITH RECURSIVE levels (priority) AS (
    VALUES (10)
    UNION ALL
    SELECT priority - 1 FROM levels WHERE priority > 1
), found (queue) AS (
    SELECT min(queue) FROM jobs WHERE ready = 0
    UNION ALL
    SELECT (SELECT min(j.queue) FROM jobs j WHERE j.ready = 0 AND j.queue > found.queue)
    FROM found WHERE found.queue IS NOT NULL
)
SELECT l.priority, f.queue FROM found f CROSS JOIN levels l
WHERE f.queue IS NOT NULL AND EXISTS (
    SELECT 1 FROM jobs j
    WHERE j.ready = 0 AND j.queue = f.queue AND j.priority = l.priority AND j.due_at <= ?1
)
ORDER BY l.priority DESC
