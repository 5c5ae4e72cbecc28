SELECT token FROM jobs WHERE worker_id = ?1 AND cancel = 1
