SELECT n FROM counts WHERE queue = ?1 AND state = ?2
