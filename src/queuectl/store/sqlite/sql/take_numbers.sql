UPDATE counters SET seq = seq + ?1, token = token + ?2
RETURNING seq - ?1 + 1, token - ?2 + 1
