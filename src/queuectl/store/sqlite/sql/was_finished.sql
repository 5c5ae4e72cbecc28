SELECT 1 FROM attempts WHERE token = ?1
