-- Chosen states, newest first: an arm a state, so that each finds its index by a literal,
-- merged by seq. What runs is few; an index by seq of its own would be written by each run,
-- and OFFSET keeps the planner from walking all jobs by seq instead. No more are sought than there
-- are: whoever has found the last one reads no further.
-- $1 queue, $2 since, $3 ended before, $4 limit (NULL: all), $5 which states,
-- $6 the seq that the page before ended with.
WITH there AS MATERIALIZED (
    SELECT state, sum(n)::bigint AS n
    FROM (
        SELECT queue, state, n FROM queuectl.counts
        UNION ALL
        SELECT queue, state, n FROM queuectl.count_changes
    ) c
    WHERE $1::text IS NULL OR queue = (SELECT number FROM queuectl.queues WHERE name = $1)
    GROUP BY state
), found AS MATERIALIZED (
    (SELECT seq FROM queuectl.jobs
    WHERE 'pending' = ANY ($5::text[]) AND state = 'pending' AND seq < $6
        AND ($1::text IS NULL
            OR queue = (SELECT number FROM queuectl.queues WHERE name = $1))
        AND ($2::bigint IS NULL OR created_at >= $2)
        AND ($3::bigint IS NULL OR (ready IS NULL AND finished_at < $3))
    ORDER BY seq DESC LIMIT least($4, coalesce(
        (SELECT n FROM there WHERE state = 'pending'), 0)))
    UNION ALL
    (SELECT seq FROM queuectl.jobs
    WHERE 'processing' = ANY ($5::text[]) AND state = 'processing' AND seq < $6
        AND ($1::text IS NULL
            OR queue = (SELECT number FROM queuectl.queues WHERE name = $1))
        AND ($2::bigint IS NULL OR created_at >= $2)
        AND ($3::bigint IS NULL OR (ready IS NULL AND finished_at < $3))
    OFFSET 0)
    UNION ALL
    (SELECT seq FROM queuectl.jobs
    WHERE 'completed' = ANY ($5::text[]) AND state = 'completed' AND seq < $6
        AND ($1::text IS NULL
            OR queue = (SELECT number FROM queuectl.queues WHERE name = $1))
        AND ($2::bigint IS NULL OR created_at >= $2)
        AND ($3::bigint IS NULL OR (ready IS NULL AND finished_at < $3))
    ORDER BY seq DESC LIMIT least($4, coalesce(
        (SELECT n FROM there WHERE state = 'completed'), 0)))
    UNION ALL
    (SELECT seq FROM queuectl.jobs
    WHERE 'failed' = ANY ($5::text[]) AND state = 'failed' AND seq < $6
        AND ($1::text IS NULL
            OR queue = (SELECT number FROM queuectl.queues WHERE name = $1))
        AND ($2::bigint IS NULL OR created_at >= $2)
        AND ($3::bigint IS NULL OR (ready IS NULL AND finished_at < $3))
    ORDER BY seq DESC LIMIT least($4, coalesce(
        (SELECT n FROM there WHERE state = 'failed'), 0)))
    UNION ALL
    (SELECT seq FROM queuectl.jobs
    WHERE 'dead' = ANY ($5::text[]) AND state = 'dead' AND seq < $6
        AND ($1::text IS NULL
            OR queue = (SELECT number FROM queuectl.queues WHERE name = $1))
        AND ($2::bigint IS NULL OR created_at >= $2)
        AND ($3::bigint IS NULL OR (ready IS NULL AND finished_at < $3))
    ORDER BY seq DESC LIMIT least($4, coalesce(
        (SELECT n FROM there WHERE state = 'dead'), 0)))
    UNION ALL
    (SELECT seq FROM queuectl.jobs
    WHERE 'cancelled' = ANY ($5::text[]) AND state = 'cancelled' AND seq < $6
        AND ($1::text IS NULL
            OR queue = (SELECT number FROM queuectl.queues WHERE name = $1))
        AND ($2::bigint IS NULL OR created_at >= $2)
        AND ($3::bigint IS NULL OR (ready IS NULL AND finished_at < $3))
    ORDER BY seq DESC LIMIT least($4, coalesce(
        (SELECT n FROM there WHERE state = 'cancelled'), 0)))
    ORDER BY seq DESC
    LIMIT $4
)
SELECT w.* FROM found f
    CROSS JOIN LATERAL (SELECT * FROM queuectl.whole_jobs WHERE seq = f.seq OFFSET 0) w
ORDER BY f.seq DESC
