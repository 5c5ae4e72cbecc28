-- $4 true: everything for this transaction only, for behind PgBouncer the next one may have
-- another server process. $1 bounds each statement, $2 each wait for a lock, $3 the pauses between
-- statements, so that a client that is stuck or cut off holds its locks no longer; a host that
-- is lost while a statement is on its way is found by the server's keepalives (which by default
-- takes two hours). An answer means "on disk" even where the server's default is to say so early;
-- a stricter default stays. The planner is kept from whole-table plans that it may prefer while
-- its statistics are old, and from planning a statement anew each time for a gain that it only
-- hopes for.
SELECT set_config('statement_timeout', $1, $4),
    set_config('lock_timeout', $2, $4),
    set_config('idle_in_transaction_session_timeout', $3, $4),
    set_config('synchronous_commit',
        CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on'
        ELSE current_setting('synchronous_commit') END, $4),
    set_config('tcp_keepalives_idle', '15', $4),
    set_config('tcp_keepalives_interval', '5', $4),
    set_config('tcp_keepalives_count', '4', $4),
    set_config('array_nulls', 'on', $4),
    set_config('enable_seqscan', 'off', $4),
    set_config('enable_bitmapscan', 'off', $4),
    set_config('enable_hashjoin', 'off', $4),
    set_config('enable_mergejoin', 'off', $4),
    set_config('plan_cache_mode', 'force_generic_plan', $4),
    set_config('jit', 'off', $4)
