DELETE FROM output WHERE key >= ?1 << 24 AND key < (?1 + 1) << 24
