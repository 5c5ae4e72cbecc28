SELECT id, host, pid, boot_id, pid_namespace, start_ticks, supervisor_pid, slots, queues,
    started_at, heartbeat_at, CASE WHEN stop_seconds IS NULL THEN 'running' ELSE 'stopping' END,
    version
FROM workers ORDER BY started_at, id
