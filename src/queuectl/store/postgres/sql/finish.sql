-- $1 worker, $2 the ends of its runs. One counts while its job is processing under its
-- token. A job that was to run again does not if somebody has asked to cancel it meanwhile.
-- That they are few (BETWEEN) is said for the planner.
WITH ends AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset($2::jsonb) AS e (
        token bigint, seq bigint, attempt integer, state text, attempts integer,
        due_at bigint, charged boolean, outcome text, exit_code integer, signal text,
        error text, started_at bigint, finished_at bigint, duration double precision,
        events text[]
    )
    WHERE seq BETWEEN 0 AND 9223372036854775807
), done AS (
    UPDATE queuectl.jobs j SET
        state = CASE WHEN cancel AND e.due_at IS NOT NULL THEN 'cancelled' ELSE e.state END,
        ready = CASE WHEN cancel THEN NULL ELSE e.due_at <= e.finished_at END,
        due_at = CASE WHEN cancel THEN NULL ELSE e.due_at END,
        attempts = e.attempts, cancel = NULL, outcome = e.outcome,
        exit_code = e.exit_code, signal = e.signal, error = e.error,
        started_at = e.started_at, finished_at = e.finished_at, duration = e.duration,
        updated_at = e.finished_at
    FROM ends e
    -- coalesce, ANY: see claim.sql
    WHERE j.seq = e.seq AND j.seq = ANY (ARRAY(SELECT seq FROM ends))
        AND j.token = e.token AND coalesce(j.state, '') = 'processing'
    RETURNING j.state AS became, e.*
), kept AS (
    INSERT INTO queuectl.attempts (
        token, seq, attempt, worker_id, host, started_at, finished_at, duration, outcome,
        charged, exit_code, signal, error
    )
    SELECT d.token, d.seq, d.attempt, w.id, w.host, d.started_at, d.finished_at, d.duration,
        d.outcome, d.charged, d.exit_code, d.signal, d.error
    FROM done d, queuectl.workers w
    WHERE w.id = $1
)
INSERT INTO queuectl.total_changes (event, n)
SELECT event, count(*) FROM (
    SELECT unnest(events) AS event FROM done
    UNION ALL
    SELECT 'dlq' FROM done WHERE became = 'dead'
) happened
GROUP BY event
