-- The runs that were started last, and those of the jobs that ended last: one that took long
-- may end after thousands that were started later. OFFSET 0: see claim.sql; + 0: else the
-- index of all tokens is searched for the largest of a job.
WITH latest AS MATERIALIZED (
    (SELECT token FROM queuectl.attempts ORDER BY token DESC LIMIT $1)
    UNION
    SELECT last.token FROM (
        SELECT seq FROM queuectl.jobs WHERE ready IS NULL AND finished_at IS NOT NULL
        ORDER BY finished_at DESC LIMIT $1
    ) j CROSS JOIN LATERAL (
        SELECT max(token + 0) AS token FROM queuectl.attempts WHERE seq = j.seq
    ) last
)
SELECT a.finished_at, coalesce(j.id, 'j' || a.seq), a.outcome, a.duration, a.error
FROM latest
    CROSS JOIN LATERAL (
        SELECT * FROM queuectl.attempts WHERE token = latest.token OFFSET 0) a
    LEFT JOIN LATERAL (SELECT id FROM queuectl.jobs WHERE seq = a.seq OFFSET 0) j ON true
ORDER BY a.finished_at DESC, a.token DESC
LIMIT $1
