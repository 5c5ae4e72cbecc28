DELETE FROM output WHERE token = ?1
