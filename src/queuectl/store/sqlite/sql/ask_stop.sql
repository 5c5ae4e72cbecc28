UPDATE workers SET stop_seconds = min(coalesce(stop_seconds, ?2), ?2) WHERE id = ?1
