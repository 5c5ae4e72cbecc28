SELECT token FROM attempts WHERE seq = ?1
