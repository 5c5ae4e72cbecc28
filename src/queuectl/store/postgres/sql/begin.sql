-- Everything for this transaction only: behind PgBouncer the next one may have another
-- server process. $1 bounds each statement, $2 each wait for a lock, $3 the pauses between
-- statements, so that a client that is stuck or cut off holds its locks no longer. An answer means "on disk" even where
-- the server's default is to say so early; a stricter default stays. The planner is kept
-- from whole-table plans that it may prefer while its statistics are old.
SELECT set_config('statement_timeout', $1, true),
    set_config('lock_timeout', $2, true),
    set_config('idle_in_transaction_session_timeout', $3, true),
    set_config('synchronous_commit',
        CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on'
        ELSE current_setting('synchronous_commit') END, true),
    set_config('enable_seqscan', 'off', true),
    set_config('enable_bitmapscan', 'off', true),
    set_config('enable_hashjoin', 'off', true),
    set_config('enable_mergejoin', 'off', true),
    set_config('jit', 'off', true)
