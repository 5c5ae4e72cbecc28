SELECT nextval('queuectl.seqs') FROM generate_series(1, $1)
