COPY queuectl.specs (
    seq, command, is_argv, cwd, cwd_explicit, created_by, capture, run_at, env, tags, after
) FROM STDIN
