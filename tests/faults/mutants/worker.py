"""The guards of workers and supervisors: locks, watchdogs, lost replies, copies."""

from __future__ import annotations

from .mutant import WORKER, Mutant

_LITE = "src/queuectl/store/sqlite/"
_TROUBLE = "tests/faults/test_trouble.py"
_GUARDS = "tests/faults/test_rescue_guards.py"
_STORE = "tests/faults/test_store_guards.py"
_DEATHS = "tests/worker/test_deaths.py"
_STUCK = "tests/worker/test_stuck.py"
_ROSTER = "tests/worker/test_roster.py"
_LEAVING = "tests/worker/test_leaving.py"

ENGINE = [
    # locks
    Mutant(
        "a worker does not lock its file",
        WORKER + "slots.py",
        "            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)\n",
        "",
        "tests/worker/test_slots.py",
    ),
    Mutant(
        "a rescuer does not lock the file",
        "src/queuectl/store/slotlock.py",
        "fcntl.flock(descriptor, how | fcntl.LOCK_NB)",
        "pass",
        _GUARDS,
    ),
    Mutant(
        "a rescuer does not look whether another was faster",
        WORKER + "rescue.py",
        "if not os.path.exists(path):  # another rescuer was just done with it",
        "if False:",
        _GUARDS,
    ),
    Mutant(
        "who looks is taken for the owner",
        "src/queuectl/store/slotlock.py",
        "fcntl.LOCK_SH if shared else fcntl.LOCK_EX",
        "fcntl.LOCK_EX",
        _ROSTER,
    ),
    Mutant(
        "an entry of the roster that was cleared away is not made again",
        WORKER + "roster.py",
        "    if os.fstat(descriptor).st_nlink:\n",
        "    if True:\n",
        _ROSTER,
    ),
    Mutant(
        "locked files look free",
        "src/queuectl/store/slotlock.py",
        "    if descriptor is None:\n        return True\n",
        "    if descriptor is None:\n        return False\n",
        _GUARDS,
    ),
    Mutant(
        "a worker without a slot file is dead though it runs",
        _LITE + "engine.py",
        "if not w.alive and not host.is_running(w)]",
        "if not w.alive]",
        _STORE,
    ),
    Mutant(
        "nobody looks whether the slot file is there",
        WORKER + "lookout.py",
        "if not self._slot_file.in_place():",
        "if False:",
        _STUCK,
    ),
    # watchdogs
    Mutant(
        "the watchdog never bites",
        WORKER + "supervisor.py",
        "if child.stale >= patience or late:",
        "if late:",
        f"{_TROUBLE} -k frozen",
    ),
    Mutant(
        "the watchdog bites whoever is slow to wake",
        WORKER + "supervisor.py",
        "                look_at = now + look_every\n",
        "                look_at += look_every\n",
        f"{_TROUBLE} {_STUCK} -k 'frozen or stopped_itself'",
    ),
    Mutant(
        "the watchdog bites too early",
        WORKER + "supervisor.py",
        "patience = round(self._config.lease_seconds / look_every)",
        "patience = 1",
        f"{_TROUBLE} {_STUCK} -k 'frozen or stopped_itself or lease'",
    ),
    Mutant(
        "the watchdog waits for workers to be ready",
        WORKER + "supervisor.py",
        "if not child.pid:\n                continue\n            turns",
        "if not child.pid or not child.watch:\n                continue\n            turns",
        f"{_TROUBLE} -k before",
    ),
    Mutant(
        "a worker's loop says nothing to the watchdog",
        WORKER + "loop.py",
        "            self._slot_file.turned()\n",
        "",
        f"{_STUCK}; tests/worker/test_loop.py",
    ),
    Mutant(
        "nobody holds the lifeline",
        WORKER + "main.py",
        "    loop.watch(lifeline, supervisor_gone)\n",
        "",
        f"{_TROUBLE} {_DEATHS} -k supervisor",
    ),
    Mutant(
        "a supervisor does not start another",
        WORKER + "supervisor.py",
        "        child.start_at = time.monotonic() + pause\n",
        "        child.done = True\n",
        _DEATHS,
    ),
    Mutant(
        "a supervisor gives up when the disk is full",
        WORKER + "supervisor.py",
        "child.refused = not self._announced and code > 0 and code != START_ANOTHER",
        "child.refused = code > 0 and code != START_ANOTHER",
        f"{_TROUBLE} -k space",
    ),
    Mutant(
        "the last to leave cleans up after nobody",
        WORKER + "supervisor.py",
        "            self._clean_up()\n",
        "            pass\n",
        f"{_DEATHS}; {_LEAVING}",
    ),
    Mutant(
        "the store thread dies in silence",
        WORKER + "storethread.py",
        "            os._exit(70)  # EX_SOFTWARE\n",
        "",
        "tests/worker/test_storethread.py",
    ),
    # calls whose reply was lost
    Mutant(
        "after trouble nobody asks what is held",
        WORKER + "turns.py",
        "self._unsure = self._more = self._failing = True",
        "self._more = self._failing = True",
        f"{_TROUBLE} -k outlive",
    ),
    Mutant(
        "after trouble ends are not sent again",
        WORKER + "turns.py",
        "                self._finished = finishes + self._finished\n",
        "",
        f"{_TROUBLE} -k outlive",
    ),
    Mutant(
        "after trouble what has ended is given back",
        WORKER + "turns.py",
        "known() | {finish.token for finish in self._finished}",
        "known()",
        f"{_TROUBLE} -k outlive",
    ),
    Mutant(
        "a turn that the bell has begun is forgotten",
        WORKER + "turns.py",
        "            self._under_way = not self._store.stand_down()\n",
        "            self._store.stand_down()\n",
        "tests/worker/test_turns.py",
    ),
    Mutant(
        "a worker that pauses goes on claiming",
        WORKER + "turns.py",
        "        self.stand_down()\n        self.paused_until",
        "        self.paused_until",
        "tests/worker/test_turns.py",
    ),
    Mutant(
        "a worker that gives up goes on claiming",
        WORKER + "loop.py",
        'record nothing."""\n        self._turns.stand_down()\n',
        'record nothing."""\n',
        "tests/worker/test_not_claiming.py",
    ),
    Mutant(
        "a worker that stops goes on claiming",
        WORKER + "loop.py",
        "        if self._stopping or self._awaited:\n",
        "        if self._awaited:\n",
        f"{_LEAVING} {_TROUBLE} -k 'signal or supervisor or stop'",
    ),
    Mutant(
        "a replacement starts jobs beside those of its predecessor",
        WORKER + "loop.py",
        "        if self._stopping or self._awaited:\n",
        "        if self._stopping:\n",
        f"{_DEATHS} -k 'in_a_slot or nor_is'",
    ),
    # copies
    Mutant(
        "a copy of a store keeps the original's name",
        WORKER + "supervisor.py",
        "            store.settle_in()\n",
        "",
        "tests/worker/test_copies.py",
    ),
    Mutant(
        "a copy of a store is renamed under a living worker",
        _LITE + "engine.py",
        "if self._db.is_copy() and not any(w.alive for w in self._workers()):",
        "if self._db.is_copy():",
        "tests/store/test_copies.py",
    ),
]
