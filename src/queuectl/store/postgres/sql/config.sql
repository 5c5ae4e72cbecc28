SELECT key, value FROM queuectl.config
