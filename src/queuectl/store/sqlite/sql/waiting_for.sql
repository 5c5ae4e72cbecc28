SELECT seq FROM waits WHERE needs = ?1
