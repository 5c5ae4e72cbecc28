-- The store, in a schema of its own: one store a database. The tables are those of the
-- SQLite store; what differs is said where it does.
--
-- `ready` is the fact that claims seek by: true can be claimed now, false waits for its
-- due_at and nothing else, NULL is blocked by other jobs, running or ended.

CREATE SCHEMA IF NOT EXISTS queuectl;

CREATE TABLE queuectl.meta (
    name text PRIMARY KEY,
    value text NOT NULL
);

-- Numbers handed out so far; neither ever goes back, and no commit waits for another's.
CREATE SEQUENCE queuectl.seqs;
CREATE SEQUENCE queuectl.tokens;

CREATE TABLE queuectl.config (
    key text PRIMARY KEY,
    value text NOT NULL
);

CREATE TABLE queuectl.queues (
    number integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    name text NOT NULL UNIQUE,
    paused boolean NOT NULL DEFAULT false,
    max_running integer
);
INSERT INTO queuectl.queues (name) VALUES ('default');

-- Environments kept at enqueue: few, shared by many jobs.
CREATE TABLE queuectl.captures (
    number integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    env text NOT NULL,
    digest text NOT NULL UNIQUE      -- md5 of env, which may be too long for an index
);

-- Narrow: what changes as a job goes on, and what a claim decides by.
--
-- Against bloat. A run rewrites its job's row twice, and since state and ready stand in
-- the conditions of indexes no rewrite is a heap-only one: each leaves a dead row and dead
-- index entries behind. Vacuum has to keep up with the work, not with the table's size,
-- so it starts after a fixed number of dead rows (the default, a fifth of the table, would
-- let two million pile up beside ten million finished jobs) and does not pause between
-- pages. fillfactor leaves room on a page for the two rewrites of what stands there, so
-- that they need not go to the table's end.
CREATE TABLE queuectl.jobs (
    seq bigint PRIMARY KEY,
    due_at bigint,
    token bigint,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    started_at bigint,
    finished_at bigint,
    backoff_base double precision NOT NULL,
    backoff_max double precision NOT NULL,
    backoff_jitter double precision NOT NULL,
    timeout_seconds double precision NOT NULL,
    duration double precision,
    progress double precision,
    queue integer NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    runs integer NOT NULL DEFAULT 0,
    max_retries integer NOT NULL,
    exit_code integer,
    priority smallint NOT NULL,
    ready boolean,
    cancel boolean,                  -- true: a person asked to end the present run
    state text NOT NULL,
    id text COLLATE "C",             -- NULL: made up, 'j' || seq
    worker_id text,
    outcome text,
    signal text,
    error text
) WITH (
    fillfactor = 70,
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0.02, autovacuum_analyze_threshold = 5000
);
CREATE UNIQUE INDEX jobs_id ON queuectl.jobs (id) WHERE id IS NOT NULL;
CREATE INDEX jobs_ready ON queuectl.jobs (queue, priority DESC, seq) WHERE ready;
CREATE INDEX jobs_due ON queuectl.jobs (due_at) WHERE NOT ready;
CREATE INDEX jobs_due_first ON queuectl.jobs (queue, priority, due_at, seq) WHERE NOT ready;
CREATE INDEX jobs_held ON queuectl.jobs (worker_id) WHERE state = 'processing';
CREATE INDEX jobs_to_cancel ON queuectl.jobs (worker_id) WHERE cancel;
CREATE INDEX jobs_failed ON queuectl.jobs (seq) WHERE state = 'failed';
CREATE INDEX jobs_dead ON queuectl.jobs (seq) WHERE state = 'dead';
CREATE INDEX jobs_died ON queuectl.jobs (finished_at, seq) WHERE state = 'dead';
CREATE INDEX jobs_cancelled ON queuectl.jobs (seq) WHERE state = 'cancelled';
CREATE INDEX jobs_ended ON queuectl.jobs (finished_at)
    WHERE ready IS NULL AND finished_at IS NOT NULL;

-- What was asked, never rewritten. JSON where there is more than one.
CREATE TABLE queuectl.specs (
    seq bigint PRIMARY KEY,
    run_at bigint,
    capture integer,
    is_argv boolean NOT NULL,
    cwd_explicit boolean NOT NULL,
    command text NOT NULL,
    cwd text NOT NULL,
    created_by text NOT NULL,
    env text,
    tags text,
    after text
);

-- What is told of a job: `read_job` knows the order.
CREATE VIEW queuectl.whole_jobs AS
SELECT coalesce(j.id, 'j' || j.seq) AS name, s.command, s.is_argv, q.name AS queue, j.priority,
    j.max_retries, j.backoff_base, j.backoff_max, j.backoff_jitter, j.timeout_seconds,
    s.run_at, j.due_at, s.after, s.cwd, s.env, s.tags, j.state, j.attempts, j.outcome,
    j.exit_code, j.signal, j.error, j.created_at, s.created_by, j.updated_at,
    j.started_at, j.finished_at, j.duration, j.worker_id, j.progress, j.seq, j.runs
FROM queuectl.jobs j JOIN queuectl.specs s ON s.seq = j.seq
    JOIN queuectl.queues q ON q.number = j.queue;

CREATE TABLE queuectl.tags (
    tag text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    PRIMARY KEY (tag, seq)
);
CREATE INDEX tags_of ON queuectl.tags (seq);

-- `seq` waits for `needs`, which has not completed yet.
CREATE TABLE queuectl.waits (
    needs bigint NOT NULL,
    seq bigint NOT NULL,
    PRIMARY KEY (needs, seq)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
CREATE INDEX waits_of ON queuectl.waits (seq);

-- Runs that have ended; a running one is read off its job.
CREATE TABLE queuectl.attempts (
    token bigint PRIMARY KEY,
    seq bigint NOT NULL,
    started_at bigint,
    finished_at bigint NOT NULL,
    duration double precision,
    attempt integer NOT NULL,
    exit_code integer,
    charged boolean NOT NULL,
    worker_id text NOT NULL,
    host text NOT NULL,
    outcome text NOT NULL,
    signal text,
    error text
);
CREATE INDEX attempts_of ON queuectl.attempts (seq);

CREATE TABLE queuectl.output (
    token bigint NOT NULL,
    start bigint NOT NULL,
    number bigint NOT NULL,
    stream smallint NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (token, number)
);

-- A heartbeat changes no indexed column: with half of each page free it rewrites the row
-- on its page and leaves nothing for the index to carry.
CREATE TABLE queuectl.workers (
    id text PRIMARY KEY,
    lease_until timestamptz NOT NULL, -- by this server's clock
    lease_seconds double precision NOT NULL,
    session bigint NOT NULL,          -- the connection that may take turns, see enter_turn
    started_at bigint NOT NULL,
    heartbeat_at bigint NOT NULL,
    start_ticks bigint NOT NULL,
    stop_seconds double precision,
    handed bigint,                    -- the token of what hand_over claimed for it last
    waits integer,                    -- to be called, with a free slot: the version it knows
    pid integer NOT NULL,
    supervisor_pid integer NOT NULL,
    slots integer NOT NULL,
    host text NOT NULL,
    boot_id text NOT NULL,
    pid_namespace text NOT NULL,
    slot_folder text NOT NULL,        -- tells whether the slot file can be seen, see proof.py
    version text NOT NULL,
    queues text[] NOT NULL
) WITH (
    fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200
);

-- Counts. A row for each that every commit raises would put all commits in single file,
-- so each only adds a row of change, without an index, and now and then somebody folds
-- the changes into the sums (fold_counts.sql, fold_totals.sql). What holds is the sum and the
-- changes together.
CREATE TABLE queuectl.counts (
    queue integer NOT NULL,
    state text NOT NULL,
    n bigint NOT NULL,
    PRIMARY KEY (queue, state)
) WITH (
    fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200
);
CREATE TABLE queuectl.count_changes (
    n bigint NOT NULL,
    queue integer NOT NULL,
    state text NOT NULL
) WITH (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_insert_threshold = -1, autovacuum_vacuum_cost_delay = 0
);
CREATE TABLE queuectl.totals (
    event text PRIMARY KEY,
    n bigint NOT NULL
) WITH (
    fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200
);
CREATE TABLE queuectl.total_changes (
    n bigint NOT NULL,
    event text NOT NULL
) WITH (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_insert_threshold = -1, autovacuum_vacuum_cost_delay = 0
);

-- The counts follow the jobs by themselves: no statement can forget them.
CREATE FUNCTION queuectl.count_jobs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO queuectl.count_changes (queue, state, n)
        SELECT queue, state, count(*) FROM new_jobs GROUP BY queue, state;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO queuectl.count_changes (queue, state, n)
        SELECT queue, state, -count(*) FROM old_jobs GROUP BY queue, state;
    ELSE
        INSERT INTO queuectl.count_changes (queue, state, n)
        SELECT queue, state, sum(n) FROM (
            SELECT queue, state, -1 AS n FROM old_jobs
            UNION ALL
            SELECT queue, state, 1 FROM new_jobs
        ) moved
        GROUP BY queue, state HAVING sum(n) <> 0;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER count_new AFTER INSERT ON queuectl.jobs
    REFERENCING NEW TABLE AS new_jobs
    FOR EACH STATEMENT EXECUTE FUNCTION queuectl.count_jobs();
CREATE TRIGGER count_moved AFTER UPDATE ON queuectl.jobs
    REFERENCING OLD TABLE AS old_jobs NEW TABLE AS new_jobs
    FOR EACH STATEMENT EXECUTE FUNCTION queuectl.count_jobs();
CREATE TRIGGER count_gone AFTER DELETE ON queuectl.jobs
    REFERENCING OLD TABLE AS old_jobs
    FOR EACH STATEMENT EXECUTE FUNCTION queuectl.count_jobs();

-- The door to a worker's turn. Until the turn commits it holds back a rescue (lock_turns),
-- not heartbeats, and without a write: a turn that finds nothing leaves no trace. `caller`
-- is the connection: of a worker that lost its connection and came back on another, a turn
-- sent over the old one may still be on its way, and must not claim what nobody would know
-- of. `known` is the store version of who wants to claim (else NULL); whoever is too old by
-- now may still say what became of its jobs.
CREATE FUNCTION queuectl.enter_turn(worker text, caller bigint, known integer DEFAULT NULL)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    row record;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(7816543, 0), -- against migrations
        pg_advisory_xact_lock_shared(7816545, hashtext(worker));
    SELECT w.lease_until, w.session, known < m.value::integer AS too_old INTO row
    FROM queuectl.workers w LEFT JOIN queuectl.meta m ON m.name = 'min_compatible'
    WHERE w.id = worker;
    IF NOT FOUND OR row.lease_until <= clock_timestamp() THEN
        RAISE EXCEPTION 'worker % is gone', worker USING ERRCODE = 'QC001';
    ELSIF row.session <> caller THEN
        RAISE EXCEPTION 'worker % came back on another connection', worker
            USING ERRCODE = 'QC002';
    ELSIF row.too_old THEN
        RAISE EXCEPTION USING ERRCODE = 'QC003',
            MESSAGE = (SELECT value FROM queuectl.meta WHERE name = 'version');
    END IF;
END $$;

-- Jobs whose time has come become ready, the first `most` of them. An update that finds none
-- would still cost a trigger. Tells how many.
CREATE FUNCTION queuectl.promote(at bigint, most bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    promoted bigint := 0;
BEGIN
    IF EXISTS (SELECT FROM queuectl.jobs WHERE NOT ready AND due_at <= at) THEN
        UPDATE queuectl.jobs SET ready = true WHERE seq = ANY (ARRAY(
            SELECT seq FROM queuectl.jobs WHERE NOT ready AND due_at <= at
            ORDER BY due_at LIMIT most
            FOR UPDATE SKIP LOCKED
        ));
        GET DIAGNOSTICS promoted = ROW_COUNT;
    END IF;
    RETURN promoted;
END $$;

-- More is due than one turn makes ready: what a worker claims next must not stand behind it. Of
-- `candidates` the first `wanted` that nobody else is taking this moment, and of a queue no more
-- than it has room for.
CREATE FUNCTION queuectl.promote_first(worker text, at bigint, wanted bigint, candidates bigint)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    numbers integer[];
    rooms bigint[];
    first bigint[];
    promoted integer[] := '{}';
BEGIN
    WITH running AS MATERIALIZED (
        SELECT queue, count(*) AS n FROM queuectl.jobs WHERE state = 'processing' GROUP BY queue
    )
    SELECT array_agg(q.number), array_agg(CASE WHEN q.max_running IS NOT NULL THEN greatest(0,
        q.max_running - coalesce((SELECT n FROM running WHERE queue = q.number), 0)) END)
    INTO numbers, rooms
    FROM queuectl.workers w JOIN queuectl.queues q ON w.queues = '{}' OR q.name = ANY (w.queues)
    WHERE w.id = worker AND NOT q.paused;
    FOR level IN REVERSE 10..1 LOOP
        first := ARRAY(
            SELECT c.seq
            FROM unnest(numbers, rooms) open (number, room) CROSS JOIN LATERAL (
                SELECT j.due_at, j.seq FROM queuectl.jobs j
                WHERE NOT j.ready AND j.queue = open.number AND j.priority = level
                    AND j.due_at <= at
                ORDER BY j.due_at, j.seq
                LIMIT least(candidates,
                    open.room - cardinality(array_positions(promoted, open.number)))
            ) c
            ORDER BY c.due_at, c.seq
            LIMIT candidates
        );
        CONTINUE WHEN first = '{}';
        WITH made_ready AS (
            UPDATE queuectl.jobs SET ready = true WHERE seq = ANY (ARRAY(
                SELECT j.seq FROM queuectl.jobs j
                WHERE NOT coalesce(j.ready, true) AND j.seq = ANY (first)
                ORDER BY j.due_at, j.seq
                LIMIT wanted - cardinality(promoted)
                FOR UPDATE SKIP LOCKED
            ))
            RETURNING queue
        )
        SELECT promoted || coalesce(array_agg(queue), '{}') INTO promoted FROM made_ready;
        EXIT WHEN cardinality(promoted) >= wanted;
    END LOOP;
END $$;

-- Claims of a queue with a limit stand in line, so that each counts what the last one took: only
-- where there is something to take, since whoever claims from it keeps its place until the
-- commit is on disk. (Not by a lock on the queue's row, which would be a write even where there
-- is nothing to claim.) A claim takes from no such queue where it does not stand in line.
CREATE FUNCTION queuectl.line_up(
    worker text, at bigint, most bigint, wanted bigint, candidates bigint
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    limited record;
    running jsonb;
    in_line integer[] := '{}';
BEGIN
    IF queuectl.promote(at, most) = most THEN
        PERFORM queuectl.promote_first(worker, at, wanted, candidates);
    END IF;
    FOR limited IN
        SELECT q.number, q.max_running
        FROM queuectl.queues q JOIN queuectl.workers w ON w.id = worker
        WHERE q.max_running IS NOT NULL AND NOT q.paused
            AND (w.queues = '{}' OR q.name = ANY (w.queues))
        ORDER BY q.number
    LOOP
        -- One by one: joined, all that is ready would be read to find the queues it is in.
        CONTINUE WHEN NOT EXISTS (
            SELECT FROM queuectl.jobs j WHERE j.ready AND j.queue = limited.number);
        IF running IS NULL THEN -- of all queues at once: what runs is read but once
            SELECT coalesce(jsonb_object_agg(queue, n), '{}') INTO running FROM (
                SELECT queue, count(*) AS n FROM queuectl.jobs
                WHERE state = 'processing' GROUP BY queue
            ) r;
        END IF;
        CONTINUE WHEN limited.max_running
            <= coalesce((running ->> limited.number::text)::integer, 0);
        PERFORM pg_advisory_xact_lock(7816544, limited.number);
        in_line := in_line || limited.number;
    END LOOP;
    IF in_line <> '{}' THEN
        PERFORM set_config('queuectl.in_line', in_line::text, true);
    END IF;
END $$;

-- How things stand for a worker: what is asked of it, and whether there is anything to do.
-- `drained` looks at counts only where nothing is due. In the language of the statements that
-- ask it, so that it becomes a part of them.
CREATE FUNCTION queuectl.look(worker text) RETURNS TABLE (
    lives boolean, handed bigint, stop_seconds double precision, cancels bigint[],
    next_due bigint, drained boolean
) LANGUAGE sql STABLE AS $$
WITH open AS MATERIALIZED (
    SELECT q.number
    FROM queuectl.workers w
        JOIN queuectl.queues q ON w.queues = '{}' OR q.name = ANY (w.queues)
    WHERE w.id = worker AND NOT q.paused
), waiting AS MATERIALIZED (
    SELECT FROM open CROSS JOIN LATERAL (
        SELECT FROM queuectl.jobs j WHERE j.ready AND j.queue = open.number LIMIT 1
    ) first
)
SELECT w.lease_until > clock_timestamp() AS lives, w.handed,
    w.stop_seconds,
    ARRAY(SELECT j.token FROM queuectl.jobs j WHERE j.worker_id = worker AND j.cancel) AS cancels,
    (SELECT j.due_at FROM queuectl.jobs j WHERE NOT j.ready ORDER BY j.due_at LIMIT 1),
    CASE WHEN EXISTS (SELECT FROM waiting) THEN false ELSE NOT EXISTS (
        SELECT FROM (
            SELECT queue, state, n FROM queuectl.counts
            UNION ALL
            SELECT queue, state, n FROM queuectl.count_changes
        ) c
        WHERE c.state IN ('failed', 'processing') AND c.queue IN (SELECT number FROM open)
        GROUP BY c.queue, c.state HAVING sum(c.n) > 0
    ) END AS drained
FROM queuectl.workers w
WHERE w.id = worker
$$;

-- Jobs have ended, or (`reason` given) are about to be removed: free those that waited for
-- one that completed, cancel those that waited for any other, and so on down. Children are
-- locked before they are judged: of two needs that end at the same time one must see both.
-- Tells how many can be claimed now.
CREATE FUNCTION queuectl.settle_waiting(ended bigint[], at bigint, reason text DEFAULT NULL)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    gone bigint[];
    doomed bigint[];
    freed bigint;
BEGIN
    IF NOT EXISTS (SELECT FROM queuectl.waits WHERE needs = ANY (ended)) THEN
        RETURN 0;
    END IF;
    PERFORM FROM queuectl.jobs
    WHERE seq = ANY (ARRAY(SELECT w.seq FROM queuectl.waits w WHERE w.needs = ANY (ended)))
    ORDER BY seq FOR UPDATE;
    WITH free AS (
        UPDATE queuectl.jobs c SET ready = coalesce(c.due_at, 0) <= at
        WHERE c.seq = ANY (ARRAY(
                SELECT w.seq FROM queuectl.waits w JOIN queuectl.jobs n ON n.seq = w.needs
                WHERE w.needs = ANY (ended) AND n.state = 'completed'))
            AND c.state = 'pending'
            AND NOT EXISTS (
                SELECT FROM queuectl.waits w JOIN queuectl.jobs n ON n.seq = w.needs
                WHERE w.seq = c.seq AND n.state <> 'completed')
        RETURNING ready
    )
    SELECT count(*) FILTER (WHERE ready) INTO freed FROM free;
    DELETE FROM queuectl.waits w USING queuectl.jobs n
    WHERE w.needs = ANY (ended) AND n.seq = w.needs AND n.state = 'completed';
    gone := ARRAY(
        SELECT seq FROM queuectl.jobs
        WHERE seq = ANY (ended) AND (state IN ('dead', 'cancelled') OR reason IS NOT NULL));
    LOOP
        doomed := ARRAY(SELECT DISTINCT seq FROM queuectl.waits WHERE needs = ANY (gone));
        EXIT WHEN doomed = '{}';
        PERFORM FROM queuectl.jobs WHERE seq = ANY (doomed) ORDER BY seq FOR UPDATE;
        UPDATE queuectl.jobs c SET state = 'cancelled', ready = NULL, due_at = NULL,
            finished_at = at, updated_at = at, outcome = 'cancelled',
            error = 'waited for ' || why.name || ', which is ' || why.state
        FROM (
            SELECT DISTINCT ON (w.seq) w.seq, coalesce(n.id, 'j' || n.seq) AS name,
                coalesce(reason, n.state) AS state
            FROM queuectl.waits w JOIN queuectl.jobs n ON n.seq = w.needs
            WHERE w.needs = ANY (gone)
            ORDER BY w.seq, w.needs
        ) why
        WHERE c.seq = why.seq AND c.state IN ('pending', 'failed');
        DELETE FROM queuectl.waits WHERE seq = ANY (doomed);
        gone := doomed;
        reason := NULL;
    END LOOP;
    RETURN freed;
END $$;

-- A new job is claimed at once for one of `candidates`, workers that wait to be called: so the
-- claim needs no commit of its own, and the worker has only to read it. Not where another job
-- may come first, nor from a queue with a limit (see line_up). Nobody is waited for. Tells who
-- has it.
CREATE FUNCTION queuectl.hand_over(job bigint, candidates text[], at bigint)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    worker text;
    given bigint;
BEGIN
    IF EXISTS (SELECT FROM queuectl.jobs WHERE NOT ready AND due_at <= at) THEN
        RETURN NULL;
    END IF;
    FOREACH worker IN ARRAY candidates LOOP
        -- As a rescue would: no turn of it is under way, nor can one begin.
        CONTINUE WHEN NOT pg_try_advisory_xact_lock(7816545, hashtext(worker));
        PERFORM FROM queuectl.workers w
            JOIN queuectl.meta m ON m.name = 'min_compatible'
            JOIN queuectl.jobs j ON j.seq = job AND coalesce(j.ready, false)
            JOIN queuectl.queues q ON q.number = j.queue
        WHERE w.id = worker AND w.waits >= m.value::integer AND w.stop_seconds IS NULL
            AND w.lease_until > clock_timestamp() + lease_seconds * interval '0.6 seconds'
            AND (w.queues = '{}' OR q.name = ANY (w.queues))
            AND NOT q.paused AND q.max_running IS NULL
        FOR UPDATE OF w SKIP LOCKED;
        CONTINUE WHEN NOT FOUND OR EXISTS (
            SELECT FROM queuectl.workers w
                JOIN queuectl.queues q ON w.queues = '{}' OR q.name = ANY (w.queues)
                CROSS JOIN LATERAL (
                    SELECT FROM queuectl.jobs j
                    WHERE j.ready AND j.queue = q.number AND j.seq <> job LIMIT 1
                ) other
            WHERE w.id = worker AND NOT q.paused
        );
        UPDATE queuectl.jobs SET state = 'processing', ready = NULL, due_at = NULL,
            runs = 1, token = nextval('queuectl.tokens'), worker_id = worker, started_at = at
        WHERE seq = job
        RETURNING token INTO given;
        UPDATE queuectl.workers SET waits = NULL, handed = given WHERE id = worker;
        INSERT INTO queuectl.total_changes (event, n) VALUES ('started', 1);
        RETURN worker;
    END LOOP;
    RETURN NULL;
END $$;
