DELETE FROM output WHERE key = (?1 << 24) + ?2
