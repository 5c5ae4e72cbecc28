SELECT token, seq FROM queuectl.jobs WHERE worker_id = $1 AND state = 'processing'
