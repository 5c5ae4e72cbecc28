-- The store. `ready` is the fact that claims seek by: 1 can be claimed now, 0 waits for
-- its due_at and nothing else, NULL is blocked by other jobs, running or ended. Partial
-- indexes are found only by literals: every statement writes `ready = 1`, never `ready = ?`.

CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;

-- Numbers handed out so far; neither ever goes back.
CREATE TABLE counters (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    seq INTEGER NOT NULL,
    token INTEGER NOT NULL
) STRICT;
INSERT INTO counters VALUES (1, 0, 0);

CREATE TABLE config (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE queues (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    paused INTEGER NOT NULL DEFAULT 0,
    max_running INTEGER
) STRICT;
INSERT INTO queues (number, name) VALUES (1, 'default');

CREATE TABLE counts (
    queue INTEGER NOT NULL,
    state TEXT NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (queue, state)
) STRICT, WITHOUT ROWID;

CREATE TABLE totals (
    event TEXT PRIMARY KEY,
    n INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Environments kept at enqueue: few, shared by many jobs.
CREATE TABLE captures (
    number INTEGER PRIMARY KEY,
    env TEXT NOT NULL UNIQUE
) STRICT;

-- Narrow: what changes as a job goes on, and what a claim decides by.
CREATE TABLE jobs (
    seq INTEGER PRIMARY KEY,
    id TEXT,                      -- NULL: made up, 'j' || seq
    queue INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    state TEXT NOT NULL,
    ready INTEGER,
    due_at INTEGER,
    attempts INTEGER NOT NULL DEFAULT 0,
    runs INTEGER NOT NULL DEFAULT 0,
    max_retries INTEGER NOT NULL,
    backoff_base REAL NOT NULL,
    backoff_max REAL NOT NULL,
    backoff_jitter REAL NOT NULL,
    timeout_seconds REAL NOT NULL,
    token INTEGER,
    worker_id TEXT,
    cancel INTEGER,               -- 1: a person asked to end the present run
    outcome TEXT,
    exit_code INTEGER,
    signal TEXT,
    error TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    started_at INTEGER,
    finished_at INTEGER,
    duration REAL,
    progress REAL
) STRICT;
CREATE UNIQUE INDEX jobs_id ON jobs (id) WHERE id IS NOT NULL;
CREATE INDEX jobs_ready ON jobs (queue, priority DESC, seq) WHERE ready = 1;
CREATE INDEX jobs_due ON jobs (due_at) WHERE ready = 0;
CREATE INDEX jobs_due_first ON jobs (queue, priority, due_at, seq) WHERE ready = 0;
CREATE INDEX jobs_held ON jobs (worker_id) WHERE state = 'processing';
CREATE INDEX jobs_to_cancel ON jobs (worker_id) WHERE cancel = 1;
CREATE INDEX jobs_failed ON jobs (seq) WHERE state = 'failed';
CREATE INDEX jobs_dead ON jobs (seq) WHERE state = 'dead';
CREATE INDEX jobs_died ON jobs (finished_at) WHERE state = 'dead';
CREATE INDEX jobs_cancelled ON jobs (seq) WHERE state = 'cancelled';
CREATE INDEX jobs_ended ON jobs (finished_at) WHERE ready IS NULL AND finished_at IS NOT NULL;

-- What was asked, never rewritten. JSON where there is more than one.
CREATE TABLE specs (
    seq INTEGER PRIMARY KEY,
    command TEXT NOT NULL,
    is_argv INTEGER NOT NULL,
    cwd TEXT NOT NULL,
    cwd_explicit INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    capture INTEGER,
    run_at INTEGER,
    env TEXT,
    tags TEXT,
    after TEXT
) STRICT;

-- What is told of a job: `read_job` knows the order.
CREATE VIEW whole_jobs AS
SELECT coalesce(j.id, 'j' || j.seq) AS name, s.command, s.is_argv, q.name AS queue, j.priority,
    j.max_retries, j.backoff_base, j.backoff_max, j.backoff_jitter, j.timeout_seconds,
    s.run_at, j.due_at, s.after, s.cwd, s.env, s.tags, j.state, j.attempts, j.outcome,
    j.exit_code, j.signal, j.error, j.created_at, s.created_by, j.updated_at,
    j.started_at, j.finished_at, j.duration, j.worker_id, j.progress, j.seq, j.runs
FROM jobs j JOIN specs s ON s.seq = j.seq JOIN queues q ON q.number = j.queue;

CREATE TABLE tags (
    tag TEXT NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (tag, seq)
) STRICT, WITHOUT ROWID;

-- `seq` waits for `needs`, which has not completed yet.
CREATE TABLE waits (
    needs INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (needs, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX waits_of ON waits (seq);

-- Runs that have ended; a running one is read off its job.
CREATE TABLE attempts (
    token INTEGER PRIMARY KEY,
    seq INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    worker_id TEXT NOT NULL,
    host TEXT NOT NULL,
    started_at INTEGER,
    finished_at INTEGER NOT NULL,
    duration REAL,
    outcome TEXT NOT NULL,
    charged INTEGER NOT NULL,
    exit_code INTEGER,
    signal TEXT,
    error TEXT
) STRICT;
CREATE INDEX attempts_of ON attempts (seq);

-- An index beside the table, not WITHOUT ROWID, where chunks of a KiB would cost three
-- times the disk and a megabyte half as much again.
CREATE TABLE output (
    token INTEGER NOT NULL,
    number INTEGER NOT NULL,
    stream INTEGER NOT NULL,
    start INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (token, number)
) STRICT;

CREATE TABLE workers (
    id TEXT PRIMARY KEY,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    boot_id TEXT NOT NULL,
    pid_namespace TEXT NOT NULL,
    start_ticks INTEGER NOT NULL,
    supervisor_pid INTEGER NOT NULL,
    slots INTEGER NOT NULL,
    queues TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    heartbeat_at INTEGER NOT NULL,
    version TEXT NOT NULL,
    stop_seconds REAL
) STRICT, WITHOUT ROWID;
