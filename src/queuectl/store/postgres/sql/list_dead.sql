-- What is dead, what died last first.
-- $1 queue, $2 since, $3 ended before, $4 limit (NULL: all), $5 tag,
-- $6 and $7 the end and the seq that the page before ended with.
WITH found AS MATERIALIZED (
    SELECT seq, finished_at FROM queuectl.jobs
    WHERE state = 'dead' AND (finished_at, seq) < ($6, $7)
        AND ($1::text IS NULL
            OR queue = (SELECT number FROM queuectl.queues WHERE name = $1))
        AND ($2::bigint IS NULL OR created_at >= $2)
        AND ($3::bigint IS NULL OR finished_at < $3)
        AND ($5::text IS NULL OR EXISTS (
            SELECT FROM queuectl.tags t WHERE t.tag = $5 AND t.seq = jobs.seq))
    ORDER BY finished_at DESC, seq DESC
    LIMIT $4
)
SELECT w.* FROM found f
    CROSS JOIN LATERAL (SELECT * FROM queuectl.whole_jobs WHERE seq = f.seq OFFSET 0) w
ORDER BY f.finished_at DESC, f.seq DESC
