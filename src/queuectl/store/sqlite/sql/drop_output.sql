DELETE FROM output WHERE token = ?1 AND number = ?2
