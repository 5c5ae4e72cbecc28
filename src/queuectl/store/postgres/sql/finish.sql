-- $1 worker; then arrays, an element for each end of a run: $2 token, $3 seq, $4 attempt,
-- what the job is now ($5 state, $6 attempts, $7 due_at), and how it went ($8 charged,
-- $9 outcome, $10 exit code, $11 signal, $12 error, $13 started, $14 finished, $15 duration,
-- $16 events, with spaces between). They are looked up where they are needed: in rows made of
-- them each update would carry all along.
-- An end counts while the job is processing under its token. A job that was to run again does
-- not if somebody has asked to cancel it meanwhile. Tells how many counted.
WITH done AS (
    UPDATE queuectl.jobs j SET
        state = CASE WHEN cancel AND ($7::bigint[])[e.n] IS NOT NULL THEN 'cancelled'
            ELSE ($5::text[])[e.n] END,
        ready = CASE WHEN NOT coalesce(cancel, false)
            THEN ($7::bigint[])[e.n] <= ($14::bigint[])[e.n] END,
        due_at = CASE WHEN NOT coalesce(cancel, false) THEN ($7::bigint[])[e.n] END,
        attempts = ($6::integer[])[e.n], cancel = NULL, outcome = ($9::text[])[e.n],
        exit_code = ($10::integer[])[e.n], signal = ($11::text[])[e.n],
        error = ($12::text[])[e.n], started_at = ($13::bigint[])[e.n],
        finished_at = ($14::bigint[])[e.n], updated_at = ($14::bigint[])[e.n],
        duration = ($15::double precision[])[e.n]
    FROM unnest($2::bigint[], $3::bigint[]) WITH ORDINALITY AS e (token, seq, n)
    -- coalesce, ANY: see claim.sql
    WHERE j.seq = e.seq AND j.seq = ANY ($3::bigint[])
        AND j.token = e.token AND coalesce(j.state, '') = 'processing'
    RETURNING j.token, j.seq, e.n, j.state AS became
), kept AS (
    INSERT INTO queuectl.attempts (
        token, seq, attempt, worker_id, host, started_at, finished_at, duration, outcome,
        charged, exit_code, signal, error
    )
    SELECT d.token, d.seq, ($4::integer[])[n], w.id, w.host, ($13::bigint[])[n],
        ($14::bigint[])[n], ($15::double precision[])[n], ($9::text[])[n],
        ($8::boolean[])[n], ($10::integer[])[n], ($11::text[])[n], ($12::text[])[n]
    FROM done d, queuectl.workers w
    WHERE w.id = $1
), counted AS (
    INSERT INTO queuectl.total_changes (event, n)
    SELECT event, count(*) FROM (
        SELECT unnest(string_to_array(($16::text[])[n], ' ')) AS event FROM done
        UNION ALL
        SELECT 'dlq' FROM done WHERE became = 'dead'
    ) happened
    GROUP BY event
)
SELECT count(*) FROM done
