-- Against heartbeats: none is under way when this returns.
SELECT lease_until <= clock_timestamp(), pid, start_ticks,
    host, boot_id, pid_namespace, slot_folder
FROM queuectl.workers WHERE id = $1
FOR UPDATE
