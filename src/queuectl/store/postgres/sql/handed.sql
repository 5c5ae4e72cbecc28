-- $1 worker: what is asked of it, and the job that hand_over claimed for it last, if it holds
-- that claim still. As in claim.sql; $2 environments known already.
SELECT w.stop_seconds,
    ARRAY(SELECT c.token FROM queuectl.jobs c WHERE c.worker_id = w.id AND c.cancel) AS cancels,
    j.seq, j.token, coalesce(j.id, 'j' || j.seq),
    j.runs, j.attempts, j.max_retries, j.backoff_base, j.backoff_max, j.backoff_jitter,
    s.command, s.is_argv, q.name, j.timeout_seconds, s.cwd, s.cwd_explicit, s.env, s.capture,
    CASE WHEN NOT s.capture = ANY ($2::integer[]) THEN (
        SELECT e.env FROM queuectl.captures e WHERE e.number = s.capture
    ) END, s.created_by, j.priority
FROM queuectl.workers w
    JOIN queuectl.jobs j ON j.worker_id = w.id AND j.state = 'processing' AND j.token = w.handed
    CROSS JOIN LATERAL (SELECT * FROM queuectl.specs WHERE seq = j.seq OFFSET 0) s
    JOIN queuectl.queues q ON q.number = j.queue
WHERE w.id = $1
