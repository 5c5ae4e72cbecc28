INSERT INTO queuectl.config (key, value) VALUES ($1, $2)
ON CONFLICT (key) DO UPDATE SET value = $2
