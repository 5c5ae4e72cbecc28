SELECT number, name FROM queues
