-- $1 worker; then arrays, an element for each end of a run: $2 token, $3 seq (in order, each
-- but once: so an end is found by halving), $4 attempt, what the job is now ($5 state,
-- $6 attempts, $7 due_at), and how it went ($8 charged, $9 outcome, $10 exit code, $11 signal,
-- $12 error, $13 started, $14 finished, $15 duration, $16 events, with spaces between). They
-- are looked up where they are needed: in rows made of them each update would carry all along,
-- and a join would look at each for each.
-- An end counts while the job is processing under its token. A job that was to run again does
-- not if somebody has asked to cancel it meanwhile. Tells how many counted.
WITH done AS (
    UPDATE queuectl.jobs j SET cancel = NULL, (
        state, ready, due_at, attempts, outcome, exit_code, signal, error, started_at,
        finished_at, updated_at, duration
    ) = (
        SELECT
            CASE WHEN j.cancel AND ($7::bigint[])[n] IS NOT NULL THEN 'cancelled'
                ELSE ($5::text[])[n] END,
            CASE WHEN NOT coalesce(j.cancel, false)
                THEN ($7::bigint[])[n] <= ($14::bigint[])[n] END,
            CASE WHEN NOT coalesce(j.cancel, false) THEN ($7::bigint[])[n] END,
            ($6::integer[])[n], ($9::text[])[n], ($10::integer[])[n], ($11::text[])[n],
            ($12::text[])[n], ($13::bigint[])[n], ($14::bigint[])[n], ($14::bigint[])[n],
            ($15::double precision[])[n]
        FROM (SELECT width_bucket(j.seq, $3::bigint[]) AS n OFFSET 0) e
    )
    -- coalesce, ANY: see claim.sql
    WHERE j.seq = ANY ($3::bigint[]) AND coalesce(j.state, '') = 'processing'
        AND j.token = ($2::bigint[])[width_bucket(j.seq, $3::bigint[])]
    RETURNING j.token, j.seq, width_bucket(j.seq, $3::bigint[]) AS n, j.state AS became
), kept AS (
    INSERT INTO queuectl.attempts (
        token, seq, attempt, worker_id, host, started_at, finished_at, duration, outcome,
        charged, exit_code, signal, error
    )
    SELECT token, seq, ($4::integer[])[n], $1,
        (SELECT host FROM queuectl.workers WHERE id = $1), ($13::bigint[])[n],
        ($14::bigint[])[n], ($15::double precision[])[n], ($9::text[])[n],
        ($8::boolean[])[n], ($10::integer[])[n], ($11::text[])[n], ($12::text[])[n]
    FROM done
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
