"""`python -m tests.faults.mutants [WORD …]`: take out each guard in turn; some test must fail.

A mutant is a text that stands once in a file, and what it is replaced with. Each is
applied to a copy of the tree, and the tests that ought to notice are run there. Words
choose mutants by file or name. Prints a table in Markdown; 1 if any survived.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import NamedTuple

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_TIMEOUT = 400
_AT_ONCE = 2


class Mutant(NamedTuple):
    """`tests` are arguments of pytest, after a semicolon those of another run of it."""

    name: str
    file: str
    old: str
    new: str
    tests: str


_SQL = "src/queuectl/store/sqlite/sql/"
_LITE = "src/queuectl/store/sqlite/"
_WORKER = "src/queuectl/worker/"

_FINISH = "tests/store/test_finish.py -k sqlite"
_RESCUE = "tests/store/test_rescue.py -k sqlite"
_OUTPUT = "tests/store/test_output.py -k sqlite"
_RACES = "tests/store/test_interleavings.py -k sqlite"
_NTH = "tests/faults/test_nth_operation.py"
_POWER = "tests/faults/test_power_cut.py"
_TROUBLE = "tests/faults/test_trouble.py"
_GUARDS = "tests/faults/test_rescue_guards.py"
_STORE = "tests/faults/test_store_guards.py"
_ENDING = "tests/worker/test_ending.py"
_FLEET = "tests/fleet/"
_SUPERVISOR = "tests/worker/test_supervisor.py"
_LOOP = "tests/worker/test_loop.py"

MUTANTS = [
    # tokens and states, in the store
    Mutant(
        "a finish needs no token",
        _SQL + "finish.sql",
        "AND token = ?2 AND state = 'processing'",
        "AND state = 'processing'",
        _FINISH,
    ),
    Mutant(
        "a finish needs no state",
        _SQL + "finish.sql",
        "AND token = ?2 AND state = 'processing'",
        "AND token = ?2",
        _FINISH,
    ),
    Mutant(
        "a repeated finish may have another end",
        _SQL + "was_finished.sql",
        " AND outcome = ?2 AND finished_at = ?3",
        "",
        _FINISH,
    ),
    Mutant(
        "a repeated finish may have another time",
        _SQL + "was_finished.sql",
        " AND finished_at = ?3",
        " AND ?3",
        _STORE,
    ),
    Mutant(
        "a finish given twice in one turn counts twice",
        _LITE + "engine.py",
        "if finish.token in recorded and finish.token not in fresh:",
        "if finish.token in recorded:",
        _FINISH,
    ),
    Mutant(
        "output needs no token",
        _SQL + "is_current.sql",
        " AND token = ?2",
        " AND ?2",
        _STORE,
    ),
    Mutant(
        "output needs no state",
        _SQL + "is_current.sql",
        " AND state = 'processing'",
        "",
        _OUTPUT,
    ),
    Mutant(
        "output needs no worker",
        _SQL + "is_current.sql",
        "worker_id = ?1 AND",
        "?1 AND",
        _OUTPUT,
    ),
    Mutant(
        "held needs no state",
        _SQL + "held.sql",
        " AND state = 'processing'",
        "",
        "tests/store/test_finish.py tests/store/test_workers.py -k sqlite",
    ),
    Mutant(
        "held needs no worker",
        _SQL + "held.sql",
        "worker_id = ?1 AND",
        "?1 AND",
        _FINISH,
    ),
    Mutant(
        "a release needs no token",
        _LITE + "engine.py",
        "            for token in tokens:\n                if token in held:\n",
        "            for token in list(held):\n                if token in held:\n",
        _FINISH,
    ),
    Mutant(
        "what runs is picked",
        _SQL + "pick.sql",
        "WHERE j.ready = 1 AND j.queue = ?1",
        "WHERE j.queue = ?1",
        "tests/store/test_claim.py -k sqlite",
    ),
    Mutant(
        "tokens repeat",
        _SQL + "take_numbers.sql",
        "token = token + ?2",
        "token = token",
        "tests/store/test_claim.py -k sqlite",
    ),
    Mutant(
        "a claim does not take the write lock first",
        _LITE + "database.py",
        '"BEGIN IMMEDIATE")\n        self._reading',
        '"BEGIN")\n        self._reading',
        _RACES,
    ),
    Mutant(
        "a rescued worker may turn",
        _LITE + "engine.py",
        '            raise WorkerGone(f"worker {worker_id} was rescued")\n        return row',
        '            return None, (), ""\n        return row',
        f"{_FINISH}; {_RESCUE}",
    ),
    Mutant(
        "a rescued worker may renew",
        _LITE + "engine.py",
        "if not self._db.connection.changes():",
        "if False:",
        _FINISH,
    ),
    Mutant(
        "a worker that holds jobs may leave",
        _LITE + "engine.py",
        "            if held:\n                raise Refused",
        "            if False:\n                raise Refused",
        "tests/store/test_workers.py -k sqlite",
    ),
    Mutant(
        "another pid namespace is welcome",
        _LITE + "engine.py",
        "if other.alive and other.pid_namespace != worker.pid_namespace:",
        "if False:",
        "tests/store/test_workers.py -k sqlite",
    ),
    Mutant(
        "jobs with one try are claimed ahead",
        _LITE + "engine.py",
        "if row[7] <= 1:",
        "if False:",
        "tests/store/test_claim.py -k sqlite",
    ),
    Mutant(
        "a running job can be deleted",
        _LITE + "verbs.py",
        "                if state == PROCESSING:\n                    changes.append",
        "                if False:\n                    changes.append",
        "tests/store/test_retry_delete_prune.py -k sqlite",
    ),
    Mutant(
        "a running job can be revived",
        _LITE + "verbs.py",
        "if state == PROCESSING or (state == COMPLETED and not again):",
        "if state == COMPLETED and not again:",
        "tests/store/test_retry_delete_prune.py -k sqlite",
    ),
    Mutant(
        "a job that is to be cancelled runs again",
        _SQL + "finish.sql",
        "ready = CASE WHEN cancel = 1 THEN NULL ELSE ?4 END",
        "ready = ?4",
        "tests/store/test_cancel.py -k sqlite",
    ),
    # what is charged
    Mutant(
        "a run cut off is never charged",
        "src/queuectl/transitions.py",
        "if kind == RELEASED and policy.limit > 1:",
        "if kind == RELEASED:",
        f"tests/test_transitions.py; {_FINISH}",
    ),
    Mutant(
        "one run more than allowed",
        "src/queuectl/transitions.py",
        "if charged >= policy.limit:",
        "if charged > policy.limit:",
        f"tests/test_transitions.py; {_FINISH}",
    ),
    Mutant(
        "rescue charges nobody",
        _LITE + "engine.py",
        "if token in never_started:",
        "if True:",
        _RESCUE,
    ),
    Mutant(
        "rescue charges everybody",
        _LITE + "engine.py",
        "if token in never_started:",
        "if False:",
        _RESCUE,
    ),
    Mutant(
        "rescue forgets that a run was to be cancelled",
        _LITE + "engine.py",
        'if cancel else (LOST, "its worker died")',
        'if False else (LOST, "its worker died")',
        _RESCUE,
    ),
    Mutant(
        "rescue does not forget the worker",
        _LITE + "engine.py",
        "settled.append(job_id)\n"
        '            self._db.execute(sql("delete_worker"), (worker_id,))',
        "settled.append(job_id)",
        _RESCUE,
    ),
    Mutant(
        "a file of another boot is believed",
        _WORKER + "slots.py",
        "if not content or not _is_here(content):",
        "if not content:",
        "tests/worker/test_slots.py",
    ),
    Mutant(
        "an end is taken for recorded before it is",
        _WORKER + "loop.py",
        "        self._record(run, outcome)\n\n    def _record",
        "        self._record(run, outcome)\n"
        "        self._slot_file.clear(self._entries[run.claim.token])\n\n    def _record",
        f"{_NTH} -k worker",
    ),
    Mutant(
        "a run is noted after its start",
        _WORKER + "loop.py",
        "run.entry = self._slot_file.begin(claim.token, earliest)",
        "run.entry = self._slot_file.begin(0, earliest)",
        f"{_NTH} -k worker",
    ),
    # what is on the disk
    Mutant(
        "commits are not synced",
        _LITE + "database.py",
        "PRAGMA synchronous = FULL",
        "PRAGMA synchronous = NORMAL",
        f"{_POWER} tests/store/test_sqlite_opening.py",
    ),
    Mutant(
        "nothing is synced",
        _LITE + "database.py",
        "PRAGMA synchronous = FULL",
        "PRAGMA synchronous = OFF",
        _POWER,
    ),
    Mutant(
        "a commit that failed is taken for done",
        _LITE + "database.py",
        "self._roll_back()\n"
        "                raise store_error(failure, database.path) from failure",
        "self._roll_back()\n                return",
        f"{_NTH} -k operation",
    ),
    Mutant(
        "an operation that failed is not rolled back",
        _LITE + "database.py",
        "if self._database.connection.in_transaction:",
        "if False:",
        "tests/store/test_enqueue.py -k sqlite",
    ),
    Mutant(
        "counts are not saved with what they count",
        _LITE + "shared.py",
        "                self._save()\n            except",
        "                pass\n            except",
        _FINISH,
    ),
    Mutant(
        "the file is opened and closed again",
        _LITE + "database.py",
        "if os.path.exists(path):\n        return\n",
        "if os.path.exists(path):\n        os.close(os.open(path, 2))\n        return\n",
        f"{_TROUBLE} -k connection",
    ),
    Mutant(
        "an I/O error while looking for changes is not caught",
        _LITE + "database.py",
        "except apsw.Error:  # busy, or worse: whoever asks further will hear",
        "except apsw.BusyError:",
        f"{_TROUBLE} -k mark",
    ),
    # locks
    Mutant(
        "a worker does not lock its file",
        _WORKER + "slots.py",
        "            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)\n",
        "",
        "tests/worker/test_slots.py",
    ),
    Mutant(
        "a rescuer does not lock the file",
        "src/queuectl/store/slotlock.py",
        "fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        "pass",
        _GUARDS,
    ),
    Mutant(
        "a rescuer does not look whether another was faster",
        _WORKER + "rescue.py",
        "if not os.path.exists(path):  # another rescuer was just done with it",
        "if False:",
        _GUARDS,
    ),
    Mutant(
        "locked files look free",
        "src/queuectl/store/slotlock.py",
        "    except BlockingIOError:\n        return True\n",
        "    except BlockingIOError:\n        return False\n",
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
        _WORKER + "lookout.py",
        "if not self._slot_file.in_place():",
        "if False:",
        _SUPERVISOR,
    ),
    # kills
    Mutant(
        "no TERM at the end of a run",
        _WORKER + "run.py",
        "            self._signal_all(signal.SIGTERM, census)\n            self._kill_at",
        "            self._kill_at",
        _ENDING,
    ),
    Mutant(
        "no KILL after the grace",
        _WORKER + "run.py",
        "        self._signal_all(signal.SIGKILL, census)\n",
        "",
        _ENDING,
    ),
    Mutant(
        "no KILL to what stays after it",
        _WORKER + "run.py",
        "        if self._give_up_at != NEVER:\n            return signal.SIGKILL\n",
        "",
        "tests/faults/test_kill_guards.py",
    ),
    Mutant(
        "no TERM to the group of a run that ended",
        _WORKER + "loop.py",
        "                process.signal_group(pid, signal.SIGTERM)\n",
        "                pass\n",
        _ENDING,
    ),
    Mutant(
        "nobody looks for what is left of a group",
        _WORKER + "loop.py",
        "left = run.pid in sessions or process.has_group(run.pid)",
        "left = run.pid in sessions",
        f"{_TROUBLE} -k parent",
    ),
    Mutant(
        "nobody looks for what is left of a session",
        _WORKER + "loop.py",
        "left = run.pid in sessions or process.has_group(run.pid)",
        "left = process.has_group(run.pid)",
        f"{_TROUBLE} -k group_of",
    ),
    Mutant(
        "nobody looks for marks when a run was told to end",
        _WORKER + "run.py",
        "            self._signal_marked(number, census)\n        except",
        "        except",
        _ENDING,
    ),
    Mutant(
        "nobody looks for marks when a pipe stays open",
        _WORKER + "run.py",
        "if self._told is not None or (self.pipes and now >= self._search_at):",
        "if self._told is not None:",
        _ENDING,
    ),
    Mutant(
        "a run is over while some of it live",
        _WORKER + "run.py",
        "self._clear_looks = 0 if alive or self.pipes else",
        "self._clear_looks = 0 if self.pipes else",
        f"{_TROUBLE} -k 'parent or group_of'",
    ),
    Mutant(
        "runs carry no mark",
        _WORKER + "jobenv.py",
        "_MARK: process",
        'b"NOTHING": process',
        f"{_ENDING}",
    ),
    Mutant(
        "a run that ended in time has timed out",
        _WORKER + "run.py",
        "if process.has_exited(self.pid) and not at_once:",
        "if False:",
        f"{_TROUBLE} -k in_time",
    ),
    Mutant(
        "rescue sends no KILL",
        _WORKER + "rescue.py",
        "number = signal.SIGKILL if now >= self._kill_at else 0",
        "number = 0",
        f"{_GUARDS}; {_SUPERVISOR}",
    ),
    Mutant(
        "rescue sends no signal",
        _WORKER + "rescue.py",
        "        if not self._to_end:\n            return None\n",
        "        return None\n",
        f"{_GUARDS}; {_SUPERVISOR}",
    ),
    Mutant(
        "rescue does not look for marks",
        _WORKER + "rescue.py",
        "found |= census.signal_marked(entry.token, number, told)",
        "pass",
        f"{_GUARDS}; {_SUPERVISOR}",
    ),
    Mutant(
        "rescue does not look for sessions",
        _WORKER + "rescue.py",
        "if entry.pid and _is_same_session(census, entry):",
        "if False:",
        _GUARDS,
    ),
    Mutant(
        "rescue takes any process with the pid for the run's",
        _WORKER + "rescue.py",
        "return entry.earliest <= leader <= entry.latest",
        "return True",
        _GUARDS,
    ),
    Mutant(
        "rescue does not wait for the end of what it ended",
        _WORKER + "rescue.py",
        "        return _LOOK_AGAIN\n\n    def _seconds_left",
        "        return None\n\n    def _seconds_left",
        f"{_GUARDS}; {_SUPERVISOR}",
    ),
    Mutant(
        "rescue is content with one look",
        _WORKER + "rescue.py",
        "_CLEAR_LOOKS = 3",
        "_CLEAR_LOOKS = 1",
        _GUARDS,
    ),
    Mutant(
        "who has gone since does not count",
        _WORKER + "census.py",
        "return bool(pids)",
        "return any(belongs(pid) for pid in pids)",
        _GUARDS,
    ),
    Mutant(
        "a worker that must give up leaves its jobs alone",
        _WORKER + "loop.py",
        "run.end(RELEASED, self._take_census, at_once=True)\n        self._exit_code",
        "pass\n        self._exit_code",
        _SUPERVISOR,
    ),
    # watchdogs
    Mutant(
        "the watchdog never bites",
        _WORKER + "supervisor.py",
        "if child.stale >= patience or late:",
        "if late:",
        f"{_TROUBLE} -k frozen",
    ),
    Mutant(
        "the watchdog bites whoever is slow to wake",
        _WORKER + "supervisor.py",
        "                look_at = now + look_every\n",
        "                look_at += look_every\n",
        f"{_TROUBLE} {_SUPERVISOR} -k 'frozen or stopped_itself'",
    ),
    Mutant(
        "the watchdog bites too early",
        _WORKER + "supervisor.py",
        "patience = round(self._config.lease_seconds / look_every)",
        "patience = 1",
        f"{_TROUBLE} {_SUPERVISOR} -k 'frozen or stopped_itself or lease'",
    ),
    Mutant(
        "the watchdog waits for workers to be ready",
        _WORKER + "supervisor.py",
        "if not child.pid:\n                continue\n            turns",
        "if not child.pid or not child.watch:\n                continue\n            turns",
        f"{_TROUBLE} -k before",
    ),
    Mutant(
        "a worker's loop says nothing to the watchdog",
        _WORKER + "loop.py",
        "            self._slot_file.turned()\n",
        "",
        f"{_SUPERVISOR}; {_LOOP}",
    ),
    Mutant(
        "nobody holds the lifeline",
        _WORKER + "main.py",
        "    loop.watch(lifeline, supervisor_gone)\n",
        "",
        f"{_TROUBLE} {_SUPERVISOR} -k supervisor",
    ),
    Mutant(
        "a supervisor does not start another",
        _WORKER + "supervisor.py",
        "        child.start_at = time.monotonic() + pause\n",
        "        child.done = True\n",
        _SUPERVISOR,
    ),
    Mutant(
        "a supervisor gives up when the disk is full",
        _WORKER + "supervisor.py",
        "child.refused = not self._announced and code > 0 and code not in _ANOTHER",
        "child.refused = code > 0 and code not in _ANOTHER",
        f"{_TROUBLE} -k space",
    ),
    Mutant(
        "the last to leave cleans up after nobody",
        _WORKER + "supervisor.py",
        "            self._clean_up()\n",
        "            pass\n",
        f"{_SUPERVISOR}; {_LOOP}",
    ),
    Mutant(
        "the store thread dies in silence",
        _WORKER + "storethread.py",
        "            os._exit(70)  # EX_SOFTWARE\n",
        "",
        "tests/worker/test_storethread.py",
    ),
    # calls whose reply was lost
    Mutant(
        "after trouble nobody asks what is held",
        _WORKER + "turns.py",
        "self._unsure = self.more = True",
        "self.more = True",
        f"{_TROUBLE} -k outlive",
    ),
    Mutant(
        "after trouble ends are not sent again",
        _WORKER + "turns.py",
        "                self._finished = finishes + self._finished\n",
        "",
        f"{_TROUBLE} -k outlive",
    ),
    Mutant(
        "after trouble what has ended is given back",
        _WORKER + "turns.py",
        "known() | {finish.token for finish in self._finished}",
        "known()",
        f"{_TROUBLE} -k outlive",
    ),
    Mutant(
        "a worker that stops goes on claiming",
        _WORKER + "loop.py",
        "        if self._stopping:\n            return Want(0)\n",
        "",
        f"{_LOOP} {_TROUBLE} -k 'signal or supervisor or stop'",
    ),
    # a fleet
    Mutant(
        "nobody keeps the fences of dead workers",
        _WORKER + "supervisor.py",
        "            self._keep_fences()\n",
        "",
        f"{_FLEET}test_cut_off.py",
    ),
    Mutant(
        "the fence falls with the lease",
        _WORKER + "heart.py",
        "self._margin = min(lease / 2, max(_LEAST_MARGIN, lease / 10))",
        "self._margin = 0.0",
        f"{_FLEET}test_cut_off.py",
    ),
    Mutant(
        "a worker's heart waits long on a dead connection",
        _WORKER + "heart.py",
        "open_store(self._store_url, wait)",
        "open_store(self._store_url)",
        f"{_FLEET}test_trouble.py -k dead",
    ),
    Mutant(
        "a rescue's grace outlives the lease",
        _WORKER + "rescue.py",
        "min(grace, self._seconds_left())",
        "grace",
        f"{_FLEET}test_hosts.py -k grace",
    ),
    Mutant(
        "a worker of another home is dead with its process",
        "src/queuectl/store/postgres/proof.py",
        "    if not folder or folder != folder_mark(slot_dir):\n        return False\n",
        "",
        f"{_FLEET}test_cut_off.py tests/postgres/test_leases.py",
    ),
]


def chosen(words: list[str]) -> list[Mutant]:
    """Those whose file or name has one of the words; all without words."""
    return [
        mutant
        for mutant in MUTANTS
        if not words or any(word in f"{mutant.file} {mutant.name}" for word in words)
    ]


def copy_tree(folder: str) -> str:
    """A copy to maim."""
    for name in ("src", "tests"):
        shutil.copytree(
            os.path.join(ROOT, name),
            os.path.join(folder, name),
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    shutil.copy(os.path.join(ROOT, "pyproject.toml"), folder)
    return folder


def apply(mutant: Mutant, root: str) -> str:
    """Maim the copy; what the file was before."""
    path = os.path.join(root, mutant.file)
    with open(path, encoding="utf-8") as file:
        before = file.read()
    if before.count(mutant.old) != 1:
        raise LookupError(f"{mutant.name}: its text stands {before.count(mutant.old)} times")
    with open(path, "w", encoding="utf-8") as file:
        file.write(before.replace(mutant.old, mutant.new))
    return before


def run_tests(tests: str, root: str) -> tuple[bool, str]:
    """Whether they pass, and the first that did not."""
    for arguments in tests.split(";"):
        passed, failed = _run_pytest(arguments, root)
        if not passed:
            return False, failed
    return True, ""


def _run_pytest(arguments: str, root: str) -> tuple[bool, str]:
    words = ["-q", "-x", "-p", "no:cacheprovider", "--no-header", "-rfE"]
    with subprocess.Popen(
        [sys.executable, "-m", "pytest", *words, *shlex.split(arguments)],
        cwd=root,
        env=os.environ | {"PYTHONPATH": os.path.join(root, "src")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as child:
        try:
            said, _none = child.communicate(timeout=_TIMEOUT)
        except subprocess.TimeoutExpired:
            child.terminate()
            child.communicate()
            return False, "(hangs)"
    if child.returncode not in (0, 1):
        raise RuntimeError(f"pytest {arguments}: {said[-2000:]}")
    failed = [
        line.split("::")[-1].split(" - ")[0]
        for line in said.splitlines()
        if line.startswith(("FAILED", "ERROR "))
    ]
    return child.returncode == 0, failed[0] if failed else "(ends)"


def main(words: list[str]) -> int:
    """Try the mutants that the words choose, two at a time."""
    copies: SimpleQueue[str] = SimpleQueue()
    survivors = 0
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        for number in range(_AT_ONCE):
            copies.put(copy_tree(os.path.join(folder, str(number))))

        def attempt(mutant: Mutant) -> tuple[Mutant, bool, str]:
            root = copies.get()
            before = apply(mutant, root)
            try:
                return mutant, *run_tests(mutant.tests, root)
            finally:
                with open(os.path.join(root, mutant.file), "w", encoding="utf-8") as file:
                    file.write(before)
                copies.put(root)

        print("| taken out | in | noticed by |\n|---|---|---|", flush=True)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for mutant, survived, noticed in pool.map(attempt, chosen(words)):
                survivors += survived
                place = mutant.file.removeprefix("src/queuectl/")
                by = "**nobody**" if survived else f"`{noticed}`"
                print(f"| {mutant.name} | `{place}` | {by} |", flush=True)
    total = len(chosen(words))
    minutes = (time.monotonic() - began) / 60
    print(f"\n{total - survivors} of {total} were noticed, in {minutes:.0f} minutes.")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
