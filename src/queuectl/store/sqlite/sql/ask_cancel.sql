UPDATE jobs SET cancel = 1, updated_at = ?2 WHERE seq = ?1 AND state = 'processing'
