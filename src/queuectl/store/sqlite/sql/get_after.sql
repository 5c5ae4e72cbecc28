SELECT after FROM specs WHERE seq = ?1
