SELECT number FROM captures WHERE env = ?1
