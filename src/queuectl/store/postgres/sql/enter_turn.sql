SELECT queuectl.enter_turn($1, $2)
