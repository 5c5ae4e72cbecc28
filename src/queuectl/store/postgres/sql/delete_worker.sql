DELETE FROM queuectl.workers WHERE id = $1
