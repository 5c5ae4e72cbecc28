SELECT env FROM captures WHERE number = ?1
