"""The engine: supervisor, worker loop, executor, processes."""
