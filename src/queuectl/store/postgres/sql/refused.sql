-- The very ends (tokens, outcomes, times) that are not on record. A statement of its own, to
-- see what a turn over another connection recorded while the last one waited for it.
SELECT e.token, e.outcome, e.finished_at
FROM unnest($1::bigint[], $2::text[], $3::bigint[]) AS e (token, outcome, finished_at)
WHERE NOT EXISTS (
    SELECT FROM queuectl.attempts a
    WHERE a.token = e.token AND a.outcome = e.outcome AND a.finished_at = e.finished_at
    OFFSET 0  -- see claim.sql
)
