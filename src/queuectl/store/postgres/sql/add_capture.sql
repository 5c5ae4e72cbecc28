INSERT INTO queuectl.captures (env, digest) VALUES ($1, $2) ON CONFLICT DO NOTHING
