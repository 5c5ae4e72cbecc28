SELECT number FROM queuectl.captures WHERE digest = $1
