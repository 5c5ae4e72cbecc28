WITH gone AS (
    DELETE FROM queuectl.count_changes WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM queuectl.count_changes LIMIT 2000 FOR UPDATE SKIP LOCKED
    ))
    RETURNING queue, state, n
)
INSERT INTO queuectl.counts AS c (queue, state, n)
SELECT queue, state, sum(n) FROM gone GROUP BY queue, state ORDER BY queue, state
ON CONFLICT (queue, state) DO UPDATE SET n = c.n + excluded.n
