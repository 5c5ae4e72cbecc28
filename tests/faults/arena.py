"""A place for a fight: a store, a witness file, and queuectl's own processes on it, all
marked so that they can be found and, at the end, counted."""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator

import apsw

import queuectl
from queuectl.store import open_store
from queuectl.store.base import Store

from .inject import faulty
from .jobs import Spec
from .processes import HERE, Host, Process, processes_of

_HERE = os.path.dirname(os.path.abspath(__file__))
_SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(queuectl.__file__)))

SETTINGS = {
    "lease_seconds": "3",
    "kill_grace": "0.5",
    "shutdown_timeout": "2",
    "worker_poll_interval": "0.3",
    "backoff_base": "0.5",
    "job_timeout": "20",
}


class Arena:
    """Closed, it leaves no process, mount or file."""

    def __init__(self, *, small_disk: int = 0, **settings: str) -> None:
        """`small_disk` is the size of a file system of the store's own, in MiB."""
        self.folder = tempfile.mkdtemp(prefix="arena-")
        self.witness = self._path("witness")
        self.log = self._path("log")
        os.mkdir(self._path("locks"))
        os.mkdir(self._path("bells"), 0o700)
        self.disk = self._path("disk")
        os.mkdir(self.disk)
        self._mounted = False
        if small_disk:
            self._mount(small_disk)
        self.url = self._new_url()
        self._make_control()
        self.env = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("QUEUECTL_")
        } | {
            "ARENA": self.folder,
            "FAULTS_CONTROL": self._path("control"),
            "PYTHONPATH": f"{os.path.join(_HERE, 'inject')}:{_SOURCE}",
            "QUEUECTL_DB": self.url,
            "QUEUECTL_HOME": self._path("home"),
            "QUEUECTL_RUNTIME_DIR": self._path("bells"),
        }
        self._children: list[subprocess.Popen[bytes]] = []
        with self.store() as store:
            self.uid = store.uid
            self.slot_dir = store.slot_dir
            for key, value in (SETTINGS | settings).items():
                store.set_config(key, value)

    def _new_url(self) -> str:
        return os.path.join(self.disk, "queue.db")

    def _path(self, name: str) -> str:
        return os.path.join(self.folder, name)

    def _mount(self, size: int) -> None:
        options = f"size={size}m,mode=0700"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", self.disk], check=True)
        self._mounted = True

    def _make_control(self) -> None:
        with open(self._path("control"), "w+b") as file:
            file.truncate(faulty.CONTROL.size)
            self._control = mmap.mmap(file.fileno(), faulty.CONTROL.size)

    def set_faults(
        self, *, clock: float = 0, full: int = 0, error: int = 0, lost: int = 0
    ) -> None:
        """What disk and clock do from now on; chances of 10,000."""
        faulty.CONTROL.pack_into(self._control, 0, clock, full, error, lost)

    # -- processes ---------------------------------------------------------------------

    def command(self, *words: str, host: Host = HERE) -> list[str]:
        """What to execute for `queuectl …` on this host."""
        return [*host.way, sys.executable, "-m", "queuectl", *words]

    def start(
        self, *words: str, fault: str = "", die: int = 0, host: Host = HERE
    ) -> subprocess.Popen[bytes]:
        """Start `queuectl …`; `fault` is a named point (`name:N`), `die` an operation."""
        env = self.env | host.env
        if fault:
            env["QUEUECTL_FAULT"] = fault
        if die:
            env["FAULTS_DIE"] = str(die)
        with open(self.log, "ab") as log:
            child = subprocess.Popen(
                self.command(*words, host=host),
                env=env,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._children.append(child)
        return child

    def start_tree(
        self,
        count: int = 2,
        concurrency: int = 2,
        *words: str,
        fault: str = "",
        host: Host = HERE,
    ) -> subprocess.Popen[bytes]:
        """A supervisor with workers."""
        sizes = ("--count", str(count), "--concurrency", str(concurrency))
        child = self.start("worker", "start", *sizes, *words, fault=fault, host=host)
        assert child.stdin is not None
        child.stdin.close()
        return child

    def start_worker(
        self, *, drain: bool = True, slots: int = 2, fault: str = ""
    ) -> subprocess.Popen[bytes]:
        """A worker without a supervisor; its lifeline is its standard input."""
        settings = {
            "worker_id": os.urandom(4).hex(),
            "slots": slots,
            "first_slot": 0,
            "queues": [],
            "drain": drain,
            "store_url": self.url,
            "store_uid": self.uid,
            "turn_every": 0.5,
        }
        env = self.env | ({"QUEUECTL_FAULT": fault} if fault else {})
        ready = os.open(os.devnull, os.O_WRONLY)
        words = ["-m", "queuectl.worker.main", json.dumps(settings), "0", str(ready)]
        with open(self.log, "ab") as log:
            child = subprocess.Popen(
                [sys.executable, *words],
                env=env,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                pass_fds=[ready],
                start_new_session=True,
            )
        os.close(ready)
        self._children.append(child)
        return child

    def enqueue(
        self, specs: Iterable[Spec], *, timeout: float = 60, die: int = 0, host: Host = HERE
    ) -> int:
        """Enqueue them all in one go; the exit code. Killed when the time is over."""
        child = self.start("enqueue", "--file", "-", die=die, host=host)
        lines = "".join(spec.line() + "\n" for spec in specs)
        try:
            child.communicate(lines.encode(), timeout=timeout)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
        return child.returncode

    def run(self, *words: str, timeout: float = 60, host: Host = HERE) -> int:
        """Run `queuectl …` to its end; the exit code."""
        child = self.start(*words, host=host)
        child.communicate(timeout=timeout)
        return child.returncode

    def processes(self) -> list[Process]:
        """Everything alive that belongs here: zombies don't."""
        return processes_of(self.folder)

    def pids(self, *kinds: str, host: str | None = None) -> list[int]:
        """The pids of those processes, oldest first."""
        return sorted(
            process.pid
            for process in self.processes()
            if process.kind in kinds and host in (None, process.host)
        )

    def signal(self, number: int, pids: Iterable[int]) -> None:
        """Signal processes of this arena."""
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def reap(self) -> None:
        """Take leave of children that have ended."""
        for child in self._children:
            if child.poll() is not None and child.stdin is not None:
                with contextlib.suppress(BrokenPipeError):
                    child.stdin.close()
        self._children = [child for child in self._children if child.returncode is None]

    def _kill_all(self) -> bool:
        """Whether nobody was left to be killed."""
        pids = [process.pid for process in self.processes()]
        self.signal(signal.SIGKILL, pids)
        self.reap()
        return not pids

    def reboot(self) -> None:
        """What a reboot does: everything ends, and the kernel has another boot id."""
        assert until(self._kill_all), self.processes()
        names = os.listdir(self.slot_dir) if os.path.isdir(self.slot_dir) else []
        for name in [name for name in names if "." not in name]:
            with open(os.path.join(self.slot_dir, name), "r+b") as file:
                file.seek(24)  # see worker/slots.py
                file.write(b"00000000-another-boot".ljust(40, b"\0"))

    # -- what there is to see ------------------------------------------------------------

    @contextlib.contextmanager
    def store(self) -> Iterator[Store]:
        """The store, through a connection without faults."""
        with open_store(self.url) as store:
            yield store

    def query(self, statement: str) -> list[tuple[object, ...]]:
        """Look into the file itself."""
        connection = apsw.Connection(self.url)
        try:
            connection.set_busy_timeout(60_000)
            return connection.execute(statement).fetchall()
        finally:
            connection.close()

    def waiting(self) -> int:
        """How many jobs have not ended."""
        states = "('pending', 'processing', 'failed')"
        rows = self.query(f"SELECT sum(n) FROM counts WHERE state IN {states}")  # noqa: S608
        return int(str(rows[0][0] or 0))

    def ids(self) -> list[str]:
        """Of all jobs."""
        return [str(row[0]) for row in self.query("SELECT id FROM jobs")]

    def living(self) -> list[str]:
        """The ids of the jobs that have not ended."""
        rows = self.query(
            "SELECT id FROM jobs WHERE state IN ('processing', 'pending', 'failed')"
        )
        return [str(row[0]) for row in rows]

    def registered(self) -> list[str]:
        """The ids of the workers that the store knows."""
        return [str(row[0]) for row in self.query("SELECT id FROM workers")]

    def damage(self) -> list[str]:
        """What is wrong with the store's file."""
        found = [str(row[0]) for row in self.query("PRAGMA integrity_check")]
        return [] if found == ["ok"] else [f"integrity check: {found}"]

    def ended(self) -> Callable[[int], bool]:
        """Tells of a token whether its run is over, as the store has it now."""
        ((last, running),) = self.query(
            "SELECT (SELECT token FROM counters), group_concat(token) FROM jobs"
            " WHERE state = 'processing'"
        )
        current = {int(token) for token in str(running or "").split(",") if token}
        return lambda token: token <= int(str(last)) and token not in current

    def places(self) -> list[str]:
        """The folders that are empty, or not there, when no worker is."""
        return [self.slot_dir, self._path("bells")]

    def keep(self, folder: str) -> None:
        """Copy what a violation can be understood by."""
        for path in (self.witness, self.log, self._path("events"), self.url, self.url + "-wal"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copy(path, folder)

    def lines(self) -> list[list[str]]:
        """The witness file: word, job, token, pid, seconds since boot, argument, host."""
        try:
            with open(self.witness, encoding="utf-8") as file:
                return [line.split() for line in file]
        except FileNotFoundError:
            return []

    def starts(self, job_id: str) -> int:
        """How often this job began."""
        return sum(line[:2] == ["start", job_id] for line in self.lines())

    # -- the end -------------------------------------------------------------------------

    def drain(self, seconds: float = 60) -> bool:
        """All faults stop, all that was stopped goes on; whether everything ended in time.

        The clock stands two hours ahead, for what was put off while it was wrong. New
        workers, since a supervisor whose workers died often waits long before the next.
        """
        self.set_faults(clock=7200)
        self.signal(signal.SIGKILL, self.pids("supervisor"))
        self.signal(signal.SIGCONT, [process.pid for process in self.processes()])
        self.start_tree()
        return until(self._all_ended, seconds)

    def _all_ended(self) -> bool:
        self.reap()
        if not self.pids("supervisor"):
            self.start_tree()
        with self.store() as store:
            counts = store.stats().counts
        return not (counts["pending"] + counts["processing"] + counts["failed"])

    def stop_all(self, seconds: float = 30) -> bool:
        """Stop all workers as a person would; whether they, and all else, have gone. Again
        if need be, since supervisors are found through their living workers."""

        def gone() -> bool:
            self.run("worker", "stop")
            return until(lambda: not self.processes(), 2)

        return until(gone, seconds)

    def close(self) -> None:
        """Whatever is left goes."""
        assert until(self._kill_all), self.processes()
        for child in self._children:
            child.wait()
        self.reap()
        self._control.close()
        if self._mounted:
            subprocess.run(["umount", "--lazy", self.disk], check=True)
        shutil.rmtree(self.folder)

    def __enter__(self) -> Arena:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


def can_mount() -> bool:
    """Whether a file system of one's own can be had."""
    folder = tempfile.mkdtemp(prefix="arena-")
    words = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder]
    try:
        done = subprocess.run(words, check=False, capture_output=True).returncode == 0
        if done:
            subprocess.run(["umount", folder], check=True)
        return done
    except FileNotFoundError:
        return False
    finally:
        os.rmdir(folder)


def until(condition: Callable[[], object], seconds: float = 20, step: float = 0.02) -> bool:
    """Whether it came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(step)
    return True
