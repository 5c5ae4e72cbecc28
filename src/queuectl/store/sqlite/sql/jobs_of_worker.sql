SELECT coalesce(id, 'j' || seq) FROM jobs
WHERE worker_id = ?1 AND state = 'processing' ORDER BY token
