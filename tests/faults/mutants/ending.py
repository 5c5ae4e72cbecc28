"""The guards of what ends runs: TERM, grace, KILL, and the search for who is left."""

from __future__ import annotations

from .mutant import WORKER, Mutant

_TROUBLE = "tests/faults/test_trouble.py"
_GUARDS = "tests/faults/test_rescue_guards.py"
_ENDING = "tests/worker/test_ending.py"
_DEATHS = "tests/worker/test_deaths.py"
_LEFT = "tests/worker/test_left_over.py"

ENDING = [
    # kills
    Mutant(
        "no TERM at the end of a run",
        WORKER + "run.py",
        "            self._signal_all(signal.SIGTERM, census)\n            self._kill_at",
        "            self._kill_at",
        _ENDING,
    ),
    Mutant(
        "no KILL after the grace",
        WORKER + "run.py",
        "        self._signal_all(signal.SIGKILL, census)\n",
        "",
        _ENDING,
    ),
    Mutant(
        "no KILL to what stays after it",
        WORKER + "run.py",
        "        if self._give_up_at != NEVER:\n            return signal.SIGKILL\n",
        "",
        "tests/faults/test_kill_guards.py",
    ),
    Mutant(
        "no TERM to the group of a run that ended",
        WORKER + "runs.py",
        "            process.signal_group(run.pid, signal.SIGTERM)\n",
        "            pass\n",
        _ENDING,
    ),
    Mutant(
        "nobody asks for orphans",
        WORKER + "runs.py",
        "orphans = self._children.others(self._by_pid)",
        "orphans = []",
        _ENDING,
    ),
    Mutant(
        "nobody looks for what is left of a group",
        WORKER + "runs.py",
        "self._began_session_of(run, orphans) or process.has_group(run.pid)",
        "self._began_session_of(run, orphans)",
        f"{_TROUBLE} -k parent",
    ),
    Mutant(
        "nobody looks for what is left of a session",
        WORKER + "runs.py",
        "self._began_session_of(run, orphans) or process.has_group(run.pid)",
        "process.has_group(run.pid)",
        f"{_TROUBLE} -k group_of",
    ),
    Mutant(
        "nobody looks for marks when a run was told to end",
        WORKER + "run.py",
        "            self._signal_marked(number, census)\n        except",
        "        except",
        _ENDING,
    ),
    Mutant(
        "nobody looks for marks when a pipe stays open",
        WORKER + "run.py",
        "if self._told is not None or (self.pipes and now >= self._search_at):",
        "if self._told is not None:",
        _ENDING,
    ),
    Mutant(
        "a run is over while some of it live",
        WORKER + "run.py",
        "self._clear_looks = 0 if alive or self.pipes else",
        "self._clear_looks = 0 if self.pipes else",
        f"{_TROUBLE} -k 'parent or group_of'",
    ),
    Mutant(
        "runs carry no mark",
        WORKER + "jobenv.py",
        "_MARK: process",
        'b"NOTHING": process',
        f"{_ENDING}",
    ),
    Mutant(
        "a run that ended in time has timed out",
        WORKER + "run.py",
        "if process.has_exited(self.pid) and not at_once:",
        "if False:",
        f"{_TROUBLE} -k in_time",
    ),
    Mutant(
        "rescue sends no KILL",
        WORKER + "rescue.py",
        "number = signal.SIGKILL if now >= self._kill_at else 0",
        "number = 0",
        f"{_GUARDS}; {_DEATHS}",
    ),
    Mutant(
        "rescue sends no signal",
        WORKER + "rescue.py",
        "        if not self._to_end:\n            return None\n",
        "        return None\n",
        f"{_GUARDS}; {_DEATHS}",
    ),
    Mutant(
        "rescue does not look for marks",
        WORKER + "rescue.py",
        "found |= census.signal_marked(entry.token, number, told)",
        "pass",
        f"{_GUARDS}; {_DEATHS}",
    ),
    Mutant(
        "rescue does not look for sessions",
        WORKER + "rescue.py",
        "if entry.pid and _is_same_session(census, entry):",
        "if False:",
        _GUARDS,
    ),
    Mutant(
        "rescue takes any process with the pid for the run's",
        WORKER + "rescue.py",
        "return entry.earliest <= leader <= entry.latest",
        "return True",
        _GUARDS,
    ),
    Mutant(
        "rescue does not wait for the end of what it ended",
        WORKER + "rescue.py",
        "        return _LOOK_AGAIN\n\n    def _signal",
        "        return None\n\n    def _signal",
        f"{_GUARDS}; {_DEATHS}",
    ),
    Mutant(
        "rescue is content with one look",
        WORKER + "rescue.py",
        "_CLEAR_LOOKS = 3",
        "_CLEAR_LOOKS = 1",
        _GUARDS,
    ),
    Mutant(
        "who has gone since does not count",
        WORKER + "census.py",
        "return bool(pids)",
        "return any(belongs(pid) for pid in pids)",
        _GUARDS,
    ),
    Mutant(
        "a worker that must give up leaves its jobs alone",
        WORKER + "loop.py",
        "self._runs.cut_off(at_once=True)\n        self._exit_code",
        "pass\n        self._exit_code",
        _GUARDS,
    ),
    # who is hard to find
    Mutant(
        "a worker without a slot file left nothing running",
        WORKER + "rescue.py",
        "tuple(store.held(worker.id)) if host.is_here(worker) else ()",
        "()",
        f"{_LEFT} -k proof",
    ),
    Mutant(
        "a worker whose slot file is damaged left nothing running",
        WORKER + "rescue.py",
        "tokens = () if slots.is_whole(path) else",
        "tokens = () if True else",
        f"{_LEFT} -k proof",
    ),
    Mutant(
        "nobody chases who is just being started",
        WORKER + "census.py",
        "while quiet < _QUIET_READS and",
        "while False and",
        f"{_LEFT} -k during",
    ),
    Mutant(
        "a process whose first thread has ended is dead",
        "src/queuectl/host.py",
        'if fields[0] == "Z" and int(fields[17]) < 2:',
        'if fields[0] == "Z":',
        f"{_LEFT} -k thread",
    ),
    Mutant(
        "a process whose first thread has ended carries no mark",
        WORKER + "census.py",
        "    if not content:\n        # A process",
        "    if False:\n        # A process",
        f"{_LEFT} -k thread",
    ),
    Mutant(
        "who cannot be opened is gone",
        WORKER + "process.py",
        "        if host.is_shortage(error):\n            raise\n        if error.errno in",
        "        if error.errno in",
        f"{_LEFT} -k looked_at",
    ),
    Mutant(
        "who cannot be held is gone",
        WORKER + "process.py",
        "        if error.errno in (errno.ENOSYS, errno.EPERM):\n            return -1\n",
        "",
        f"{_LEFT} -k holds",
    ),
    Mutant(
        "who cannot be held is signalled though another got its pid",
        WORKER + "process.py",
        "self.facts is not None and facts[0] == self.facts[0]",
        "self.facts is not None",
        f"{_LEFT} -k got_the_pid",
    ),
    Mutant(
        "who cannot be read is gone",
        "src/queuectl/host.py",
        '        if is_shortage(error):\n            raise\n        return ""',
        '        return ""',
        f"{_LEFT} -k 'looked_at or short'",
    ),
    Mutant(
        "a run that cannot be looked at is over",
        WORKER + "run.py",
        "to see who lives: nobody is given up\n            return False",
        "to see who lives: nobody is given up\n            return True",
        f"{_LEFT} -k short",
    ),
    Mutant(
        "a rescue that cannot look is done",
        WORKER + "rescue.py",
        "to see who lives: nobody is given up\n            return _LOOK_AGAIN",
        "to see who lives: nobody is given up\n            return None",
        _GUARDS,
    ),
    Mutant(
        "a run is over after one look",
        WORKER + "run.py",
        "_CLEAR_LOOKS = 3",
        "_CLEAR_LOOKS = 1",
        "tests/faults/test_kill_guards.py",
    ),
    Mutant(
        "one worker that cannot start ends the start",
        WORKER + "supervisor.py",
        "if all(each.refused for each in self._children):",
        "if any(each.refused for each in self._children):",
        "tests/worker/test_supervisor.py",
    ),
]
