SELECT state, queue, cancel FROM jobs WHERE seq = ?1
