SELECT id, slots, queues FROM workers
