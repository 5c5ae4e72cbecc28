INSERT INTO attempts (
    token, seq, attempt, worker_id, host, started_at, finished_at, duration, outcome,
    charged, exit_code, signal, error
) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
