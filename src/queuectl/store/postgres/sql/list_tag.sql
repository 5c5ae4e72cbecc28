-- Jobs of a tag, newest first. $1 to $6 as in list_states, $7 the tag.
WITH found AS MATERIALIZED (
    SELECT t.seq
    FROM queuectl.tags t
        CROSS JOIN LATERAL (SELECT * FROM queuectl.jobs WHERE seq = t.seq OFFSET 0) j
    WHERE t.tag = $7 AND t.seq < $6
        AND j.state = ANY ($5::text[])
        AND ($1::text IS NULL
            OR j.queue = (SELECT number FROM queuectl.queues WHERE name = $1))
        AND ($2::bigint IS NULL OR j.created_at >= $2)
        AND ($3::bigint IS NULL OR (j.ready IS NULL AND j.finished_at < $3))
    ORDER BY t.seq DESC
    LIMIT $4
)
SELECT w.* FROM found f
    CROSS JOIN LATERAL (SELECT * FROM queuectl.whole_jobs WHERE seq = f.seq OFFSET 0) w
ORDER BY f.seq DESC
