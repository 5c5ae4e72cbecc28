-- After line_up. $1 worker, $2 now, $3 jobs of any kind, $4 jobs at most, and $5 more as far as
-- that is its share by slots of what is ready; $6 candidates where several queues are open (more
-- than all that, since others may be taking the first ones this moment), $7 environments known
-- already, $8 what version the worker knows if it waits to be called where there are fewer than
-- $3, else NULL; $9 how far to count what is ready; $10 the last claim that was handed over to
-- it, as far as it knows.
-- Where seq decides, ready and state are asked so that they find no partial index: when the
-- statistics are of a time when all had ended, it looks cheap to read such a one as a whole.
-- So does every index of a table that was empty then: hence ANY, and OFFSET 0, which keeps
-- a subquery to itself.
-- The row without a job tells how things stood before, and first whether others held jobs that
-- were wanted.
WITH running AS MATERIALIZED (
    SELECT queue, count(*) AS n FROM queuectl.jobs WHERE state = 'processing' GROUP BY queue
), open AS MATERIALIZED (
    SELECT q.number, CASE WHEN q.max_running IS NOT NULL THEN greatest(0,
        q.max_running - coalesce((SELECT n FROM running WHERE queue = q.number), 0)
    ) END AS room
    FROM queuectl.workers w
        JOIN queuectl.queues q ON w.queues = '{}' OR q.name = ANY (w.queues)
    WHERE w.id = $1 AND NOT q.paused AND (q.max_running IS NULL OR q.number = ANY (
        nullif(current_setting('queuectl.in_line', true), '')::integer[]))
), wanted AS MATERIALIZED (
    -- One slot less is free where a claim was handed over that the worker does not know of yet.
    -- It does not wait for another before it does.
    SELECT unknown, greatest(0, $3 - unknown) AS free, greatest(0, $4 - unknown) AS most
    FROM (
        SELECT CASE WHEN w.handed IS DISTINCT FROM $10::bigint THEN (
            SELECT count(*) FROM queuectl.jobs j
            WHERE j.worker_id = w.id AND j.state = 'processing' AND j.token = w.handed
        ) ELSE 0 END AS unknown
        FROM queuectl.workers w WHERE w.id = $1
    ) handed
), fleet AS MATERIALIZED (
    -- Of those who serve any of its queues; there is no plenty where one serves but some of them,
    -- or others too: what comes first may be all that is there for it.
    SELECT parts, plenty, least($4 + plenty * parts, $9) AS enough
    FROM (
        SELECT ceil(1.0 * sum(w.slots) / me.slots)::bigint AS parts,
            CASE WHEN bool_and(w.queues @> me.queues AND w.queues <@ me.queues)
                THEN $5 ELSE 0 END AS plenty
        FROM queuectl.workers me
            JOIN queuectl.workers w ON w.queues = '{}' OR me.queues = '{}' OR w.queues && me.queues
        WHERE $5 > 0 AND me.id = $1 AND w.lease_until > clock_timestamp()
        GROUP BY me.slots
    ) workers
), limits AS MATERIALIZED (
    SELECT (SELECT most FROM wanted) + CASE
        WHEN count(*) >= (SELECT enough FROM fleet) THEN (SELECT plenty FROM fleet)
        ELSE greatest(0, least($5, (count(*) - $4) / (SELECT parts FROM fleet)))
    END AS most
    FROM (
        SELECT FROM open CROSS JOIN LATERAL (
            SELECT FROM queuectl.jobs j WHERE j.ready AND j.queue = open.number
            LIMIT least((SELECT enough FROM fleet), open.room)
        ) c
        WHERE (SELECT plenty FROM fleet) > 0
        LIMIT (SELECT enough FROM fleet)
    ) ready
), alone AS MATERIALIZED (
    SELECT * FROM open WHERE (SELECT count(*) FROM open) = 1
), first_of_one AS MATERIALIZED (
    -- The usual case: locked as they come, and what others hold is stepped over.
    SELECT c.seq, c.priority, c.max_retries
    FROM alone CROSS JOIN LATERAL (
        SELECT j.seq, j.priority, j.max_retries FROM queuectl.jobs j
        WHERE j.ready AND j.queue = alone.number
        ORDER BY j.priority DESC, j.seq
        LIMIT least((SELECT most FROM limits), alone.room)
        FOR UPDATE SKIP LOCKED
    ) c
), line AS MATERIALIZED (
    -- Each queue is sought by itself, and merged before anything is locked.
    SELECT c.seq
    FROM open CROSS JOIN LATERAL (
        SELECT j.priority, j.seq FROM queuectl.jobs j
        WHERE j.ready AND j.queue = open.number
        ORDER BY j.priority DESC, j.seq
        LIMIT least($6, open.room)
    ) c
    WHERE NOT EXISTS (SELECT FROM alone)
    ORDER BY c.priority DESC, c.seq
    LIMIT $6
), first_of_several AS MATERIALIZED (
    SELECT j.seq, j.priority, j.max_retries FROM queuectl.jobs j
    WHERE coalesce(j.ready, false) AND j.seq = ANY (ARRAY(SELECT seq FROM line))
    ORDER BY j.priority DESC, j.seq
    LIMIT (SELECT most FROM limits)
    FOR UPDATE SKIP LOCKED
), taken AS MATERIALIZED (
    SELECT seq, max_retries, row_number() OVER (ORDER BY priority DESC, seq) AS place
    FROM (SELECT * FROM first_of_one UNION ALL SELECT * FROM first_of_several) t
), started AS (
    UPDATE queuectl.jobs j SET state = 'processing', ready = NULL, due_at = NULL,
        runs = runs + 1, token = nextval('queuectl.tokens'), worker_id = $1,
        started_at = $2, finished_at = NULL, duration = NULL, updated_at = $2
    WHERE coalesce(j.ready, false) AND j.seq = ANY (ARRAY(
        SELECT seq FROM taken WHERE place < coalesce((
            SELECT min(place) FROM taken
            WHERE place > (SELECT free FROM wanted) AND max_retries <= 1
        ), $4 + $5 + 1)))
    RETURNING j.seq, j.token, j.id, j.runs, j.attempts, j.max_retries, j.backoff_base,
        j.backoff_max, j.backoff_jitter, j.queue, j.timeout_seconds, j.priority
), resting AS (
    UPDATE queuectl.workers w SET waits = now.waits
    FROM (
        SELECT CASE WHEN unknown = 0 AND (SELECT count(*) FROM started) < free
            THEN $8::integer END AS waits
        FROM wanted
    ) now
    WHERE w.id = $1 AND w.waits IS DISTINCT FROM now.waits
), counted AS (
    INSERT INTO queuectl.total_changes (event, n)
    SELECT 'started', count(*) FROM started HAVING count(*) > 0
), shortfall AS MATERIALIZED (
    SELECT EXISTS (SELECT FROM started)
            AND (SELECT count(*) FROM taken) >= (SELECT most FROM limits) AS more,
        (SELECT count(*) FROM taken) < (SELECT most FROM limits) AND EXISTS (
        SELECT FROM open CROSS JOIN LATERAL (
            SELECT j.seq FROM queuectl.jobs j
            WHERE j.ready AND j.queue = open.number
            ORDER BY j.priority DESC, j.seq
            LIMIT least((SELECT most FROM limits), open.room)
        ) c
        WHERE NOT c.seq = ANY (ARRAY(SELECT seq FROM taken))
    ) AS contended
)
SELECT shortfall.contended, shortfall.more, look.*, NULL AS seq, NULL AS token, NULL AS id, NULL AS runs,
    NULL AS attempts, NULL AS max_retries, NULL AS backoff_base, NULL AS backoff_max,
    NULL AS backoff_jitter, NULL AS command, NULL AS is_argv, NULL AS queue,
    NULL AS timeout_seconds, NULL AS cwd, NULL AS cwd_explicit, NULL AS env, NULL AS capture,
    NULL AS captured, NULL AS created_by, NULL AS priority
FROM shortfall CROSS JOIN queuectl.look($1) look
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, j.seq, j.token, coalesce(j.id, 'j' || j.seq),
    j.runs, j.attempts, j.max_retries, j.backoff_base, j.backoff_max, j.backoff_jitter,
    s.command, s.is_argv, q.name, j.timeout_seconds, s.cwd, s.cwd_explicit, s.env, s.capture,
    CASE WHEN NOT s.capture = ANY ($7::integer[]) THEN e.env END, s.created_by, j.priority
FROM started j
    CROSS JOIN LATERAL (SELECT * FROM queuectl.specs WHERE seq = j.seq OFFSET 0) s
    JOIN queuectl.queues q ON q.number = j.queue
    LEFT JOIN queuectl.captures e ON e.number = s.capture
