-- Any state, newest first. $1 queue, $2 since, $3 ended before, $4 limit (NULL: all),
-- $5 the seq that the page before ended with.
-- (OFFSET 0: see claim.sql. Of a queue no more are sought than there are: see list_states.sql.)
WITH there AS MATERIALIZED (
    SELECT coalesce(sum(n), 0)::bigint AS n FROM (
        SELECT queue, n FROM queuectl.counts
        UNION ALL
        SELECT queue, n FROM queuectl.count_changes
    ) c
    WHERE queue = (SELECT number FROM queuectl.queues WHERE name = $1)
), found AS MATERIALIZED (
    SELECT seq FROM queuectl.jobs
    WHERE seq < $5
        AND ($1::text IS NULL
            OR queue = (SELECT number FROM queuectl.queues WHERE name = $1))
        AND ($2::bigint IS NULL OR created_at >= $2)
        AND ($3::bigint IS NULL OR (ready IS NULL AND finished_at < $3))
    ORDER BY seq DESC
    LIMIT CASE WHEN $1::text IS NULL THEN $4 ELSE least($4, (SELECT n FROM there)) END
)
SELECT w.* FROM found f
    CROSS JOIN LATERAL (SELECT * FROM queuectl.whole_jobs WHERE seq = f.seq OFFSET 0) w
ORDER BY f.seq DESC
