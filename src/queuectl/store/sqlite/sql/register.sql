INSERT INTO workers (
    id, host, pid, boot_id, pid_namespace, start_ticks, supervisor_pid, slots, queues,
    started_at, heartbeat_at, version
) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
