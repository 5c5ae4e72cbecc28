-- OFFSET 0: see claim.sql.
SELECT a.finished_at, coalesce(j.id, 'j' || a.seq), a.outcome, a.duration, a.error
FROM queuectl.attempts a
    LEFT JOIN LATERAL (SELECT id FROM queuectl.jobs WHERE seq = a.seq OFFSET 0) j ON true
ORDER BY a.token DESC
LIMIT $1
