SELECT number, stream, start, data FROM output
WHERE token = ?1 AND number >= ?2
ORDER BY number
