SELECT token, seq FROM jobs WHERE worker_id = ?1 AND state = 'processing'
