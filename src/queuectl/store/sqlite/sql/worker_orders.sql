SELECT stop_seconds, queues, host FROM workers WHERE id = ?1
