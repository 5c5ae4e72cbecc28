"""The engine: supervisor, worker loop, executor, processes."""

START_ANOTHER = 75
"""The exit code of a worker that asks for a new incarnation (EX_TEMPFAIL)."""
OUTDATED = 76
"""The exit code of a worker that is too old for its store, or whose store was replaced
(EX_PROTOCOL)."""
