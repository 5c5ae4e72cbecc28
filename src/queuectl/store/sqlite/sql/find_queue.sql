SELECT number FROM queues WHERE name = ?1
