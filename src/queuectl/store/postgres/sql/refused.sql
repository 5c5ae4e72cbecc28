-- The very ends that are not on record ($1 as in finish.sql). A statement of its own, to
-- see what a turn over another connection recorded while the last one waited for it.
SELECT e.token, e.outcome, e.finished_at
FROM jsonb_to_recordset($1::jsonb) AS e (token bigint, outcome text, finished_at bigint)
WHERE NOT EXISTS (
    SELECT FROM queuectl.attempts a
    WHERE a.token = e.token AND a.outcome = e.outcome AND a.finished_at = e.finished_at
    OFFSET 0  -- see claim.sql
)
