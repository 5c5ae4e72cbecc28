-- Against turns: none is under way when this returns. (See queuectl.enter_turn.)
SELECT pg_advisory_xact_lock(7816545, hashtext($1))
