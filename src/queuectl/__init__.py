"""queuectl: a durable background queue for shell commands."""

__version__ = "0.1.0"
