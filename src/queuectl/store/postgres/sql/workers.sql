SELECT w.id, w.host, w.pid, w.boot_id, w.pid_namespace, w.start_ticks, w.supervisor_pid,
    w.slots, w.queues, w.started_at, w.heartbeat_at,
    CASE WHEN w.stop_seconds IS NULL THEN 'running' ELSE 'stopping' END, w.version,
    w.lease_until > clock_timestamp(), w.slot_folder,
    ARRAY(
        SELECT coalesce(j.id, 'j' || j.seq) FROM queuectl.jobs j
        WHERE j.worker_id = w.id AND j.state = 'processing' ORDER BY j.token
    ),
    -- Heartbeats come every sixth of a lease; the last one set its end.
    CASE WHEN lease_until - clock_timestamp() < lease_seconds * interval '0.6 seconds'
        THEN lease_seconds - extract(epoch FROM lease_until - clock_timestamp())::float8
    END
FROM queuectl.workers w ORDER BY w.started_at, w.id
