DELETE FROM waits WHERE seq = ?1
