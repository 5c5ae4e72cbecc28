"""The store of one host: a SQLite file. One operation of the contract a method, split by
who calls it: what comes in (intake), the workers (engine), people (inquiry, verbs)."""
