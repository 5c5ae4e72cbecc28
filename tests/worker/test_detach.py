"""`worker start --detach`: workers in the background, their pids, their log."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from queuectl.errors import QueuectlError
from queuectl.model import COMPLETED
from queuectl.worker.detach import start_detached
from queuectl.worker.stopping import stop

from .helpers import Shop, kill, lives, wait_until, workers_of


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home that does not exist yet."""
    monkeypatch.setenv("QUEUECTL_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def there(home: Path, tmp_path: Path) -> Iterator[Shop]:
    """A store with nothing started on it; what is started here is ended here."""
    shop = Shop(tmp_path)
    supervisors: set[int] = set()
    try:
        yield shop
        supervisors = {worker.supervisor_pid for worker in shop.workers()}
        stop(shop.store, (), None, now=True, all_hosts=False)
        wait_until(lambda: not any(map(lives, supervisors)), what="for supervisors to leave")
    finally:
        for pid in supervisors:
            kill(pid)
        shop.close()


def detached(shop: Shop, count: int = 1, *, drain: bool = False) -> list[int]:
    return start_detached(shop.url, count=count, concurrency=1, queues=(), drain=drain)


def log_of(home: Path) -> Path:
    (log,) = (home / "logs").iterdir()
    return log


def test_the_pids_told_are_those_of_workers_that_are_ready(there: Shop) -> None:
    pids = detached(there, count=3)
    assert sorted(pids) == sorted(worker.pid for worker in there.workers())
    assert there.run("true").state == COMPLETED


def test_detached_workers_outlive_the_terminal_and_hold_nothing_of_it(there: Shop) -> None:
    read, write = os.pipe()
    os.set_inheritable(write, True)
    (pid,) = detached(there)
    os.close(write)
    assert os.read(read, 1) == b""  # nobody holds the other end
    os.close(read)
    parent = there.worker().supervisor_pid
    for process in (pid, parent):
        assert os.getsid(process) == parent != os.getsid(0)
        assert [os.readlink(f"/proc/{process}/fd/{n}") for n in (0, 1)] == ["/dev/null"] * 2
        assert os.readlink(f"/proc/{process}/fd/2").startswith("pipe:")
    assert os.readlink(f"/proc/{parent}/cwd") == "/"


def test_what_they_say_goes_to_a_log_that_only_the_user_can_read(
    there: Shop, home: Path
) -> None:
    before = os.umask(0)
    try:
        detached(there)
    finally:
        os.umask(before)
    there.run("echo oh no; exit 3", id="bad")
    log = log_of(home)
    wait_until(lambda: ": oh no" in log.read_text())
    for line in log.read_text().splitlines():
        datetime.strptime(line[:19], "%Y-%m-%d %H:%M:%S")  # it may be read days later
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert [stat.S_IMODE(path.stat().st_mode) for path in (home, log.parent)] == [0o700] * 2


def test_jobs_of_detached_workers_have_the_umask_of_who_started_them(there: Shop) -> None:
    before = os.umask(0o027)
    try:
        detached(there)
    finally:
        os.umask(before)
    job = there.run("umask")
    assert there.output(job.id).strip() in ("0027", "027")


def test_a_store_that_cannot_be_used_is_an_error_of_the_starter(
    home: Path, tmp_path: Path
) -> None:
    (tmp_path / "folder.db").mkdir()
    with pytest.raises(QueuectlError):
        start_detached(
            str(tmp_path / "folder.db"), count=1, concurrency=1, queues=(), drain=False
        )


def test_workers_that_cannot_start_are_an_error_of_the_starter(there: Shop) -> None:
    slots = Path(there.store.slot_dir)
    slots.write_text("not a folder")
    try:
        with pytest.raises(QueuectlError):
            detached(there, count=2)
        wait_until(lambda: not workers_of(there.uid))
    finally:
        slots.unlink()


def test_detached_workers_may_drain(there: Shop) -> None:
    there.add("true", "job")
    detached(there, drain=True)
    there.wait_for("job")
    wait_until(lambda: not workers_of(there.uid), what="for them to leave")


@pytest.mark.parametrize("attempt", range(3))
def test_detached_workers_that_have_nothing_to_drain_are_no_error(
    there: Shop, attempt: int
) -> None:
    assert len(detached(there, count=2, drain=True)) == 2
    wait_until(lambda: not workers_of(there.uid), what="for them to leave")


def test_a_supervisor_that_is_told_to_stop_ends_detached_workers(
    there: Shop, home: Path
) -> None:
    (pid,) = detached(there)
    parent = there.worker().supervisor_pid
    kill(parent, signal.SIGTERM)
    wait_until(lambda: not lives(parent))
    assert not lives(pid)
    assert there.workers() == []


def test_the_log_is_rotated_and_stays_private(tmp_path: Path) -> None:
    code = (
        "import os, sys\n"
        "from queuectl.worker.detach import _Log\n"
        "os.umask(0)\n"
        "log = _Log(sys.argv[1])\n"
        "for n in range(60_000): os.write(2, b'%07d %s\\n' % (n, b'x' * 240))\n"
        "log.close()\n"
    )
    path = tmp_path / "worker.log"
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert done.returncode == 0
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["worker.log", "worker.log.1", "worker.log.2"]
    assert all(file.stat().st_size <= 5 * 1024 * 1024 for file in files)
    lines = "".join(file.read_text() for file in reversed(files)).splitlines()
    numbers = [int(line.split()[1]) for line in lines]
    assert numbers == list(range(60_000))
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_a_disk_that_is_full_stops_the_log_and_nothing_else(tmp_path: Path) -> None:
    code = (
        "import os, resource, sys\n"
        "from queuectl.worker.detach import _Log\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\n"
        "log = _Log(sys.argv[1])\n"
        "for n in range(5_000): os.write(2, b'%07d %s\\n' % (n, b'\\xc3\\xa9' * 120))\n"
        "log.close()\n"
        "os._exit(7)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "worker.log")], check=False, timeout=20
    )
    assert done.returncode == 7
    assert 0 < (tmp_path / "worker.log").stat().st_size <= 10_000


def test_logs_of_workers_long_gone_are_removed_when_others_start(
    there: Shop, home: Path
) -> None:
    logs = home / "logs"
    logs.mkdir(mode=0o700, parents=True)
    gone = subprocess.Popen(["true"])
    gone.wait()
    kept = {f"worker-{os.getpid()}.log", f"worker-{gone.pid}.log.2", "notes"}
    for name in {f"worker-{gone.pid}.log", f"worker-{gone.pid}.log.1", *kept}:
        (logs / name).touch()
        if not name.endswith(".2"):
            os.utime(logs / name, (0, 0))
    detached(there)
    parent = there.worker().supervisor_pid
    assert {path.name for path in logs.iterdir()} == {*kept, f"worker-{parent}.log"}


# -- workers that never get ready --------------------------------------------------------

DOOMED = """
import os, signal, sys
if any(f'"first_slot": {{n}},' in word for word in sys.orig_argv for n in {doomed}):
    os.kill(os.getpid(), signal.SIGKILL)
"""
"""As where the kernel ends them for the memory they take."""


def _doom(
    site: Callable[[str], dict[str, str]], monkeypatch: pytest.MonkeyPatch, *doomed: int
) -> None:
    """Have these workers, by the number of their first slot, killed at each start."""
    monkeypatch.setenv("PYTHONPATH", site(DOOMED.format(doomed=doomed))["PYTHONPATH"])


def test_a_start_tells_of_those_that_are_ready_when_others_never_get_so(
    there: Shop,
    home: Path,
    site: Callable[[str], dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _doom(site, monkeypatch, 1)
    pids = detached(there, count=2)
    assert pids == [worker.pid for worker in there.workers()]
    wait_until(lambda: log_of(home).read_text().count("died (signal 9)") >= 3)
    said = capsys.readouterr().err
    assert said.startswith("queuectl: 1 of 2 workers could not be started yet")
    assert str(log_of(home).parent) in said


def test_a_start_of_which_no_worker_gets_ready_is_an_error_of_the_starter(
    there: Shop,
    home: Path,
    site: Callable[[str], dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _doom(site, monkeypatch, 0, 1)
    with pytest.raises(QueuectlError, match="could not be started"):
        detached(there, count=2)
    wait_until(lambda: not workers_of(there.uid))
    log = log_of(home).read_text()
    assert log.count("died (signal 9)") >= 6
    assert "no worker gets ready" in log


def test_what_goes_wrong_after_the_start_is_said_in_the_log(home: Path, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from queuectl.errors import StoreError\n"
        "from queuectl.worker import detach\n"
        "class Supervisor:\n"
        "    def __init__(self, plan, on_ready):\n"
        "        self.on_ready = on_ready\n"
        "    def run(self):\n"
        "        self.on_ready([1, 2])\n"
        "        raise StoreError('the store has gone')\n"
        "detach.Supervisor = Supervisor\n"
        "sys.exit(detach.main(sys.argv))\n"
    )
    read, write = os.pipe()
    plan = "[2, 1, [], false]"
    done = subprocess.run(
        [sys.executable, "-c", code, plan, str(tmp_path), str(write)],
        check=False,
        pass_fds=[write],
        timeout=20,
    )
    os.close(write)
    with os.fdopen(read) as answer:
        assert answer.read() == '{"pids": [1, 2]}'
    assert done.returncode == 5
    (log,) = tmp_path.glob("worker-*.log")
    assert log.read_text().endswith(" queuectl: the store has gone\n")


def test_workers_stay_though_nobody_waits_for_them_to_be_ready_any_more(
    home: Path, tmp_path: Path
) -> None:
    code = (
        "import sys\n"
        "from queuectl.worker import detach\n"
        "class Supervisor:\n"
        "    def __init__(self, plan, on_ready):\n"
        "        self.on_ready = on_ready\n"
        "    def run(self):\n"
        "        self.on_ready([1, 2])\n"
        "        return 3\n"
        "detach.Supervisor = Supervisor\n"
        "sys.exit(detach.main(sys.argv))\n"
    )
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-c", code, "[2, 1, [], false]", str(tmp_path), str(write)],
        check=False,
        pass_fds=[write],
        timeout=20,
    )
    os.close(write)
    (log,) = tmp_path.glob("worker-*.log")
    assert (done.returncode, log.read_text()) == (3, "")
