INSERT OR IGNORE INTO waits (needs, seq) VALUES (?1, ?2)
