-- $1 worker, $2 tokens of claims that never started, $3 now: as if they had not been, but
-- for the token, which is spent. What a claim overwrote stands in the last run's history.
WITH mine AS MATERIALIZED (
    SELECT j.seq, j.token, last.* FROM queuectl.jobs j LEFT JOIN LATERAL (
        SELECT a.worker_id, a.started_at, a.finished_at, a.duration
        FROM queuectl.attempts a WHERE a.seq = j.seq AND j.outcome IS NOT NULL
        ORDER BY a.token DESC LIMIT 1
    ) last ON true
    WHERE j.worker_id = $1 AND j.state = 'processing' AND j.token = ANY ($2::bigint[])
), back AS (
    UPDATE queuectl.jobs j SET
        state = CASE WHEN cancel THEN 'cancelled'
            WHEN attempts > 0 AND outcome <> 'released' THEN 'failed' ELSE 'pending' END,
        ready = CASE WHEN cancel THEN NULL ELSE true END,
        due_at = CASE WHEN cancel THEN NULL ELSE $3::bigint END,
        outcome = CASE WHEN cancel THEN 'cancelled' ELSE outcome END,
        error = CASE WHEN cancel THEN 'cancelled before it started' ELSE error END,
        finished_at = CASE WHEN cancel THEN $3 ELSE mine.finished_at END,
        worker_id = mine.worker_id, started_at = mine.started_at, duration = mine.duration,
        token = NULL, cancel = NULL, runs = runs - 1, updated_at = $3
    FROM mine
    -- coalesce, ANY: see claim.sql
    WHERE j.seq = mine.seq AND j.seq = ANY (ARRAY(SELECT seq FROM mine))
        AND j.token = mine.token AND coalesce(j.state, '') = 'processing'
    RETURNING j.seq, mine.token, j.state
), counted AS (
    INSERT INTO queuectl.total_changes (event, n)
    SELECT 'started', -count(*) FROM back HAVING count(*) > 0
)
SELECT seq, token, state FROM back
