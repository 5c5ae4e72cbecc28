INSERT INTO queuectl.workers (
    id, host, pid, boot_id, pid_namespace, start_ticks, supervisor_pid, slots, queues,
    started_at, heartbeat_at, version, slot_folder, session, lease_seconds, lease_until
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::text[], $10, $11, $12, $13, $14, $15,
    clock_timestamp() + $15 * interval '1 second')
