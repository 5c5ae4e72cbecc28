UPDATE queuectl.workers SET heartbeat_at = $2,
    lease_until = clock_timestamp() + lease_seconds * interval '1 second'
WHERE id = $1 AND lease_until > clock_timestamp()
