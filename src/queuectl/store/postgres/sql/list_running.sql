-- What runs, the longest first: read whole, since no more runs than there are slots.
-- $1 queue, $2 since, $3 ended before, $4 limit (NULL: all), $5 tag.
WITH found AS MATERIALIZED (
    SELECT seq, started_at FROM queuectl.jobs
    WHERE state = 'processing'
        AND ($1::text IS NULL
            OR queue = (SELECT number FROM queuectl.queues WHERE name = $1))
        AND ($2::bigint IS NULL OR created_at >= $2)
        AND ($3::bigint IS NULL OR finished_at < $3)
        AND ($5::text IS NULL OR EXISTS (
            SELECT FROM queuectl.tags t WHERE t.tag = $5 AND t.seq = jobs.seq))
    ORDER BY started_at, seq
    LIMIT $4
)
SELECT w.* FROM found f
    CROSS JOIN LATERAL (SELECT * FROM queuectl.whole_jobs WHERE seq = f.seq OFFSET 0) w
ORDER BY f.started_at, f.seq
