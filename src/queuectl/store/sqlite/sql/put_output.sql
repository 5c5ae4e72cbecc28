INSERT OR REPLACE INTO output (key, stream, start, data) VALUES ((?1 << 24) + ?2, ?3, ?4, ?5)
