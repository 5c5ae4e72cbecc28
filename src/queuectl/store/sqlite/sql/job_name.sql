SELECT coalesce(id, 'j' || seq) FROM jobs WHERE seq = ?1
