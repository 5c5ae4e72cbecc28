SELECT number FROM queuectl.queues WHERE name = $1
