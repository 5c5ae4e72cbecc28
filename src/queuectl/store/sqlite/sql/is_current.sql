SELECT 1 FROM jobs WHERE worker_id = ?1 AND state = 'processing' AND token = ?2
