-- After line_up. $1 worker, $2 now, $3 jobs of any kind, $4 jobs at most, $5 candidates where
-- several queues are open (more than $4, since others may be taking the first ones this
-- moment), $6 environments known already.
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
), alone AS MATERIALIZED (
    SELECT * FROM open WHERE (SELECT count(*) FROM open) = 1
), first_of_one AS MATERIALIZED (
    -- The usual case: locked as they come, and what others hold is stepped over.
    SELECT c.seq, c.priority, c.max_retries
    FROM alone CROSS JOIN LATERAL (
        SELECT j.seq, j.priority, j.max_retries FROM queuectl.jobs j
        WHERE j.ready AND j.queue = alone.number
        ORDER BY j.priority DESC, j.seq
        LIMIT least($4, alone.room)
        FOR UPDATE SKIP LOCKED
    ) c
), line AS MATERIALIZED (
    -- Each queue is sought by itself, and merged before anything is locked.
    SELECT c.seq
    FROM open CROSS JOIN LATERAL (
        SELECT j.priority, j.seq FROM queuectl.jobs j
        WHERE j.ready AND j.queue = open.number
        ORDER BY j.priority DESC, j.seq
        LIMIT least($5, open.room)
    ) c
    WHERE NOT EXISTS (SELECT FROM alone)
    ORDER BY c.priority DESC, c.seq
    LIMIT $5
), first_of_several AS MATERIALIZED (
    SELECT j.seq, j.priority, j.max_retries FROM queuectl.jobs j
    WHERE coalesce(j.ready, false) AND j.seq = ANY (ARRAY(SELECT seq FROM line))
    ORDER BY j.priority DESC, j.seq
    LIMIT $4
    FOR UPDATE SKIP LOCKED
), taken AS MATERIALIZED (
    SELECT seq, max_retries, row_number() OVER (ORDER BY priority DESC, seq) AS place
    FROM (SELECT * FROM first_of_one UNION ALL SELECT * FROM first_of_several) t
), started AS (
    UPDATE queuectl.jobs j SET state = 'processing', ready = NULL, due_at = NULL,
        runs = runs + 1, token = nextval('queuectl.tokens'), worker_id = $1,
        started_at = $2, finished_at = NULL, duration = NULL, updated_at = $2
    WHERE coalesce(j.ready, false) AND j.seq = ANY (ARRAY(
        SELECT seq FROM taken WHERE place < coalesce(
            (SELECT min(place) FROM taken WHERE place > $3 AND max_retries <= 1), $4 + 1)))
    RETURNING j.seq, j.token, j.id, j.runs, j.attempts, j.max_retries, j.backoff_base,
        j.backoff_max, j.backoff_jitter, j.queue, j.timeout_seconds, j.priority
), counted AS (
    INSERT INTO queuectl.total_changes (event, n)
    SELECT 'started', count(*) FROM started HAVING count(*) > 0
), shortfall AS MATERIALIZED (
    SELECT (SELECT count(*) FROM taken) < $4 AND EXISTS (
        SELECT FROM open CROSS JOIN LATERAL (
            SELECT j.seq FROM queuectl.jobs j
            WHERE j.ready AND j.queue = open.number
            ORDER BY j.priority DESC, j.seq
            LIMIT least($4, open.room)
        ) c
        WHERE NOT c.seq = ANY (ARRAY(SELECT seq FROM taken))
    ) AS contended
)
SELECT shortfall.contended, look.*, NULL AS seq, NULL AS token, NULL AS id, NULL AS runs,
    NULL AS attempts, NULL AS max_retries, NULL AS backoff_base, NULL AS backoff_max,
    NULL AS backoff_jitter, NULL AS command, NULL AS is_argv, NULL AS queue,
    NULL AS timeout_seconds, NULL AS cwd, NULL AS cwd_explicit, NULL AS env, NULL AS capture,
    NULL AS captured, NULL AS created_by, NULL AS priority
FROM shortfall CROSS JOIN queuectl.look($1) look
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, NULL, j.seq, j.token, coalesce(j.id, 'j' || j.seq),
    j.runs, j.attempts, j.max_retries, j.backoff_base, j.backoff_max, j.backoff_jitter,
    s.command, s.is_argv, q.name, j.timeout_seconds, s.cwd, s.cwd_explicit, s.env, s.capture,
    CASE WHEN NOT s.capture = ANY ($6::integer[]) THEN e.env END, s.created_by, j.priority
FROM started j
    CROSS JOIN LATERAL (SELECT * FROM queuectl.specs WHERE seq = j.seq OFFSET 0) s
    JOIN queuectl.queues q ON q.number = j.queue
    LEFT JOIN queuectl.captures e ON e.number = s.capture
