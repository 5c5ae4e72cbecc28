DELETE FROM queuectl.config WHERE key = $1
