DELETE FROM waits WHERE needs = ?1
