UPDATE workers SET stop_seconds = ?2 WHERE id = ?1
