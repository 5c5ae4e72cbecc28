SELECT queue, state, n FROM counts WHERE state IN ('failed', 'processing') AND n <> 0
