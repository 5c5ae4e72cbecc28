INSERT INTO queuectl.specs (
    seq, command, is_argv, cwd, cwd_explicit, created_by, capture, run_at, env, tags, after
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
