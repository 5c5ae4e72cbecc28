-- The queues that have something ready, paused ones too: a seek each, however many others.
WITH RECURSIVE found (queue) AS (
    SELECT min(queue) FROM jobs WHERE ready = 1
    UNION ALL
    SELECT (SELECT min(j.queue) FROM jobs j WHERE j.ready = 1 AND j.queue > found.queue)
    FROM found WHERE found.queue IS NOT NULL
)
SELECT queue FROM found WHERE queue IS NOT NULL
