"""`worker start`: N worker processes, kept alive, watched, and stopped together.

Each worker is in a process group of its own, so a terminal's Ctrl+C reaches only the
supervisor, which passes it on once; a second one means now. A worker that dies is
replaced, with back-off; one whose loop has not turned for `lease_seconds` is killed, and
its replacement ends its jobs. If none can, being cut off from the store, the supervisor
does at the fence (see `heart`), and if neither lives, `guard`. If the supervisor dies, its end
of the lifeline closes, and the workers finish what runs and leave.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from binascii import hexlify
from selectors import EVENT_READ, DefaultSelector

from queuectl import host
from queuectl.errors import STORE_FAILED
from queuectl.records import Record
from queuectl.store import lasting_url, open_store
from queuectl.worker import OUTDATED, START_ANOTHER, process, roster, shortage
from queuectl.worker.guard import Guard
from queuectl.worker.heart import boot_ns
from queuectl.worker.report import Report
from queuectl.worker.rescue import end_runs, rescue_all
from queuectl.worker.signals import catch
from queuectl.worker.slots import Watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from queuectl.config import Config

_STOP = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_LOOKS_A_LEASE = 12
_LIVED_WELL = 10.0
_BACK_OFF_MOST = 10.0
_STARTS_IN_VAIN = 3
"""After so many a worker that has never been ready keeps nobody waiting any more."""
_FENCE_LOOK = 0.5
_FENCE_GRACE_NS = 300_000_000


class Plan(Record):
    """What `worker start` was asked for."""

    store_url: str | None
    count: int
    concurrency: int
    queues: tuple[str, ...]
    drain: bool


class _Child:
    """A worker process, or the place of one."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.worker_id = ""
        self.predecessors: list[str] = []
        """Dead workers of this place that nobody has rescued yet."""
        self.pid = 0
        self.ready_fd = -1
        self.ready = False
        self.started = 0.0
        self.failures = 0
        self.start_at = 0.0
        self.done = False
        self.refused = False
        """Whether it ended with an error before it was ready."""
        self.watch: Watch | None = None
        self.turns = -1
        self.stale = 0


class Supervisor:
    """Runs the workers of one `worker start`. `on_ready(pids)` is called once: when all are, or
    some, and the others have failed again and again."""

    def __init__(self, plan: Plan, on_ready: Callable[[list[int]], None]) -> None:
        self._plan = plan
        self._on_ready = on_ready
        self._children = [_Child(number) for number in range(plan.count)]
        self._lifeline, self._lifeline_end = os.pipe()
        os.set_inheritable(self._lifeline, True)
        self._selector = DefaultSelector()
        self._stops = 0
        self._exit_code = 0
        self._announced = False
        self._ready_pids: dict[int, int] = {}
        self._fences: dict[str, int] = {}
        """Of workers that died: when what they ran must have ended."""
        self._guard: Guard | None = None
        self._report = Report()
        self._lasting_url = lasting_url(plan.store_url)
        with open_store(self._lasting_url) as store:
            store.settle_in()
            self._config: Config = store.config()
            self._store_url = store.url
            self._store_uid = store.uid
            self._slot_dir = store.slot_dir
            self._leases = store.leases

    def run(self) -> int:
        """Until all workers have left; the exit code."""
        signals, write = catch((signal.SIGCHLD, *_STOP))
        self._selector.register(signals, EVENT_READ, signals)
        entry = roster.Entry(self._slot_dir, roster.Kept(self._plan.count, self._plan.queues))
        if self._leases:
            self._guard = Guard(self._slot_dir, self._store_uid)
        try:
            for child in self._children:
                self._start(child)
            self._serve(signals, entry)
        finally:
            entry.strike()
            signal.set_wakeup_fd(-1)
            os.close(signals)
            os.close(write)
            os.close(self._lifeline)
            os.close(self._lifeline_end)
        return self._exit_code

    def _serve(self, signals: int, entry: roster.Entry) -> None:
        look_every = self._config.lease_seconds / _LOOKS_A_LEASE
        if self._leases:
            look_every = min(look_every, _FENCE_LOOK)
        patience = round(self._config.lease_seconds / look_every)
        look_at = time.monotonic() + look_every
        while not all(child.done for child in self._children):
            waiting = [c.start_at for c in self._children if not c.pid and not c.done]
            until = min([look_at, *waiting])
            self._report.flush()
            for key, _mask in self._selector.select(max(0.0, until - time.monotonic())):
                if key.fd == signals:
                    self._signalled(os.read(signals, 4096))
                else:
                    self._heard_ready(key.data)
            now = time.monotonic()
            for child in self._children:
                if not child.pid and not child.done and now >= child.start_at:
                    self._start(child)
            if now >= look_at:
                # From now, not from look_at: looks that were missed while this process
                # itself was stopped count for nothing.
                look_at = now + look_every
                self._watch_loops(patience)
            staying = [] if self._stops else [c for c in self._children if not c.done]
            entry.keep(len(staying))
            self._keep_guard()
            self._keep_fences()
            self._announce()
        for worker_id in self._fences:  # nobody is left here to wait for theirs
            end_runs(self._slot_path(worker_id), self._store_uid, self._config.kill_grace)
        if self._guard is not None:
            self._guard.close()
        self._report.flush()
        if any(child.failures for child in self._children):
            self._clean_up()

    def _start(self, child: _Child) -> None:
        """Start its process, or try again later: others that run are not to end for it."""
        try:
            self._spawn(child)
        except OSError as error:  # a machine short of something, or an upgrade under way
            child.failures += 1
            child.start_at = time.monotonic() + _back_off(child.failures)
            self._report.line(f"no worker can be started now: {error.strerror}; trying again")

    def _spawn(self, child: _Child) -> None:
        """Raises OSError; then nothing is left open."""
        plan = self._plan
        dead = child.predecessors
        child.predecessors = [each for each in dead if os.path.exists(self._slot_path(each))]
        child.worker_id = hexlify(os.urandom(4)).decode()
        settings = {
            "worker_id": child.worker_id,
            "slots": plan.concurrency,
            "first_slot": child.number * plan.concurrency,
            "queues": plan.queues,
            "predecessors": child.predecessors,
            "drain": plan.drain,
            "store_url": self._store_url,
            "store_uid": self._store_uid,
            "turn_every": self._config.lease_seconds / 6,
        }
        # -P: a module of the user's own directory must not stand in for one of ours.
        words = [sys.executable, "-P", "-m", "queuectl.worker.main", json.dumps(settings)]
        read, write = os.pipe()
        try:
            os.set_inheritable(write, True)
            child.pid = os.posix_spawn(
                sys.executable,
                [*words, str(self._lifeline), str(write)],
                os.environ | {"QUEUECTL_DB": self._lasting_url},
                file_actions=((os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),),
                setpgroup=0,
                setsigmask=(),
            )
        except OSError:
            os.close(read)
            raise
        finally:
            os.close(write)
        child.ready_fd, child.ready = read, False
        child.started = time.monotonic()
        child.turns, child.stale = -1, 0
        self._selector.register(read, EVENT_READ, child)

    def _heard_ready(self, child: _Child) -> None:
        if child.ready_fd < 0:  # heard when it was reaped
            return
        child.ready = bool(os.read(child.ready_fd, 1))
        self._selector.unregister(child.ready_fd)
        os.close(child.ready_fd)
        child.ready_fd = -1
        if not child.ready:
            return
        child.refused = False
        self._open_watch(child)
        self._ready_pids[child.number] = child.pid

    def _announce(self) -> None:
        """Say who is ready, once nobody else can be waited for; with nobody, give up."""
        if self._announced or any(map(self._is_awaited, self._children)):
            return
        if self._ready_pids:
            self._announced = True
            self._on_ready([pid for _number, pid in sorted(self._ready_pids.items())])
        elif not self._stops and not self._exit_code:
            self._report.line("giving up: no worker gets ready")
            self._exit_code = STORE_FAILED
            self._stop()

    def _is_awaited(self, child: _Child) -> bool:
        if child.number in self._ready_pids or child.done:
            return False
        return child.failures < _STARTS_IN_VAIN

    def _open_watch(self, child: _Child) -> None:
        """Where the machine is short of something, `_watch_loops` tries again."""
        try:
            child.watch = Watch(self._slot_dir, child.worker_id)
        except FileNotFoundError:  # it has left already
            return
        except OSError as error:
            if not host.is_shortage(error):
                raise
            child.stale = 0  # whether it stands still can't be seen

    def _signalled(self, numbers: bytes) -> None:
        for number in numbers:
            if number == signal.SIGCHLD:
                self._reap()
            elif number in _STOP:
                self._stop()

    def _stop(self) -> None:
        """Once: finish what runs. Twice: now."""
        self._stops += 1
        for child in self._children:
            if child.pid:
                # One that is not ready runs nothing, and may not know yet what SIGQUIT means.
                now = self._stops > 1 and child.ready
                # SIGINT it may have been told to ignore.
                _signal(child.pid, signal.SIGQUIT if now else signal.SIGTERM)
            else:
                child.done = True

    def _reap(self) -> None:
        while pid := process.any_exited():
            _pid, status = os.waitpid(pid, 0)
            # A container's first process is handed what dead workers ran, too.
            for child in self._children:
                if child.pid == pid:
                    self._ended(child, status)
            if self._guard is not None:
                self._guard.reaped(pid)

    def _ended(self, child: _Child, status: int) -> None:
        self._heard_ready(child)
        child.pid = 0
        fence = 0
        if child.watch is not None:
            fence = child.watch.fence()
            child.watch.close()
            child.watch = None
        code = os.waitstatus_to_exitcode(status)
        if code and fence:
            self._fences[child.worker_id] = fence
        if code == 0:
            child.done = True
            return
        if code == OUTDATED:  # it said so, and any other would
            child.done = True
            self._exit_code = STORE_FAILED
            return
        child.failures += 1
        child.refused = not self._announced and code > 0 and code != START_ANOTHER
        if all(each.refused for each in self._children):
            # They said why; others would say the same.
            self._exit_code = code
            self._stop()
            return
        if self._stops:
            child.done = True
            return
        child.predecessors.append(child.worker_id)
        lived = time.monotonic() - child.started
        if lived >= _LIVED_WELL:
            child.failures = 1
        pause = 0.0 if child.failures == 1 else _back_off(child.failures)
        child.start_at = time.monotonic() + pause
        how = f"signal {-code}" if code < 0 else f"exit {code}"
        self._report.line(f"worker {child.worker_id} died ({how}); starting another")

    def _watch_loops(self, patience: int) -> None:
        """Kill workers whose loop stood still over so many of our own looks, and those
        that did not end their jobs at their fence. One that does not get ready stands still."""
        for child in self._children:
            if not child.pid:
                continue
            turns = child.watch.turns() if child.watch else -1
            child.stale = child.stale + 1 if turns == child.turns else 0
            child.turns = turns
            fence = child.watch.fence() if child.watch else 0
            late = bool(fence) and boot_ns() > fence + _FENCE_GRACE_NS
            if child.stale >= patience or late:
                self._report.line(f"worker {child.worker_id} is stuck; killing it")
                _signal(child.pid, signal.SIGKILL)
            elif child.ready and child.watch is None:
                self._open_watch(child)

    def _keep_guard(self) -> None:
        if self._guard is not None:
            self._guard.keep({c.worker_id: c.pid for c in self._children if c.pid and c.ready})

    def _keep_fences(self) -> None:
        """End what dead workers ran, unless somebody has taken it back before."""
        for worker_id, fence in list(self._fences.items()):
            path = self._slot_path(worker_id)
            if boot_ns() >= fence:
                try:
                    end_runs(path, self._store_uid)
                except OSError as error:
                    if not host.is_shortage(error):
                        raise
                    continue
                del self._fences[worker_id]
            elif not os.path.exists(path):
                del self._fences[worker_id]

    def _slot_path(self, worker_id: str) -> str:
        return os.path.join(self._slot_dir, worker_id)

    def _clean_up(self) -> None:
        """No worker of ours is left to rescue one that died."""
        with shortage.as_store_error(), open_store(self._lasting_url) as store:
            rescue_all(store, self._config.kill_grace)


def start(
    store_url: str | None,
    *,
    count: int,
    concurrency: int,
    queues: tuple[str, ...],
    drain: bool,
    on_ready: Callable[[list[int]], None] = lambda _pids: None,
) -> int:
    """Run workers in the foreground until stopped; the exit code. `on_ready` hears their pids.

    Raises QueuectlError if the store can't be used.
    """
    plan = Plan(store_url, count, concurrency, queues, drain)
    return Supervisor(plan, on_ready).run()


def _back_off(failures: int) -> float:
    """Seconds until the next try."""
    return min(0.5 * 2.0 ** min(failures, 16), _BACK_OFF_MOST)


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
