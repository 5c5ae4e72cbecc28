-- The runs that were started last, and those of the jobs that ended last: one that took long
-- may end after thousands that were started later.
WITH latest AS (
    SELECT token FROM (SELECT token FROM attempts ORDER BY token DESC LIMIT ?1)
    UNION
    SELECT (SELECT max(token) FROM attempts WHERE seq = j.seq) FROM (
        SELECT seq FROM jobs WHERE ready IS NULL AND finished_at IS NOT NULL
        ORDER BY finished_at DESC LIMIT ?1
    ) j
)
SELECT a.finished_at, coalesce(j.id, 'j' || a.seq), a.outcome, a.duration, a.error
FROM latest CROSS JOIN attempts a ON a.token = latest.token LEFT JOIN jobs j ON j.seq = a.seq
ORDER BY a.finished_at DESC, a.token DESC
LIMIT ?1
