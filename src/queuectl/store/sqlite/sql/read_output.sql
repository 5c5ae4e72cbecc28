SELECT key & 0xffffff, stream, start, data FROM output
WHERE key >= (?1 << 24) + ?2 AND key < (?1 + 1) << 24
ORDER BY key
