"""The command line: one verb a file; parses, calls, prints; no logic."""
