"""`worker start`: how it begins and leaves, beside others and wherever it is called."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

from queuectl.model import COMPLETED
from queuectl.worker.slots import SlotFile
from queuectl.worker.supervisor import Plan
from queuectl.worker.supervisor import Supervisor as SupervisorItself

from .helpers import Shop, kill, state_of, wait_until, workers_of


def test_a_worker_that_has_left_before_the_supervisor_looked_is_no_error(shop: Shop) -> None:
    with shop.locked():  # the worker can't say that it is there
        supervisor = shop.start(drain=True, ready=False)
        (worker,) = wait_until(lambda: workers_of(shop.uid))
        kill(supervisor.pid, signal.SIGSTOP)
    wait_until(lambda: state_of(worker) in ("Z", ""))
    kill(supervisor.pid, signal.SIGCONT)
    assert supervisor.wait() == 0, supervisor.log


def test_a_worker_that_cannot_start_ends_the_start_with_its_reason(shop: Shop) -> None:
    slots = Path(shop.store.slot_dir)
    slots.write_text("not a folder")
    try:
        supervisor = shop.start(count=2, ready=False)
        assert supervisor.wait() == 5
        assert "no slot file can be kept" in supervisor.log
    finally:
        slots.unlink()


def test_a_start_ends_only_when_none_of_its_workers_can_start(shop: Shop) -> None:
    """What keeps one from starting may pass: a disk that is full for a moment."""
    plan = Plan(shop.url, 2, 1, (), drain=False)
    supervisor = SupervisorItself(plan, lambda _pids: None)
    first, second = supervisor._children
    supervisor._ended(first, 5 << 8)
    assert not first.done
    assert not second.done
    supervisor._ended(second, 5 << 8)
    assert first.done
    assert second.done
    assert supervisor._exit_code == 5


def test_a_signal_while_workers_begin_stops_them_cleanly(shop: Shop) -> None:
    for _ in range(4):
        supervisor = shop.start(count=2, ready=False)
        wait_until(lambda: workers_of(shop.uid))
        supervisor.send(signal.SIGTERM)
        assert supervisor.wait() == 0, supervisor.log


def test_two_signals_while_workers_begin_stop_them_cleanly(shop: Shop) -> None:
    for _ in range(4):
        supervisor = shop.start(count=2, ready=False)
        wait_until(lambda: workers_of(shop.uid))
        supervisor.stop_now()
        assert supervisor.wait() == 0, supervisor.log


def test_workers_that_come_while_the_last_ones_leave_find_their_folders(shop: Shop) -> None:
    for _ in range(4):
        leaving = shop.start()
        coming = shop.start(ready=False)
        leaving.send(signal.SIGTERM)
        assert leaving.wait() == 0
        shop.wait_ready(coming, 1)
        assert shop.stop(coming) == 0


def test_slot_files_made_while_the_last_is_removed_find_their_folder(tmp_path: Path) -> None:
    code = (
        "import sys; from queuectl.worker.slots import SlotFile\n"
        "for n in range(1500): SlotFile(sys.argv[1], f'{sys.argv[2]}{n}', 4).remove()"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "slots"), name])
        for name in "ab"
    ]
    assert [process.wait() for process in started] == [0, 0]
    assert not (tmp_path / "slots").exists()
    assert SlotFile  # the name that the code above imports


def test_two_starts_serve_one_store_side_by_side(shop: Shop) -> None:
    one, two = shop.start(), shop.start(count=2)
    assert len(shop.workers()) == 3
    assert shop.stop(one) == 0
    assert len(shop.workers()) == 2
    assert shop.run("true").state == COMPLETED
    assert shop.stop(two) == 0


def test_a_locale_that_is_not_utf_8_stops_no_worker(shop: Shop) -> None:
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    shop.start(env=ascii_only)
    job = shop.run("echo caf\u00e9 $X", env={"X": "\u20ac"})
    assert (job.state, shop.output(job.id)) == (COMPLETED, "caf\u00e9 \u20ac\n")
    job = shop.run(["echo", "\u4f60\u597d"], cwd=str(_made(shop.folder / "d\u00e9")))
    assert (job.state, shop.output(job.id)) == (COMPLETED, "\u4f60\u597d\n")


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_a_module_of_the_users_directory_does_not_stand_in_for_ours(shop: Shop) -> None:
    for name in ("json", "queuectl", "selectors"):
        (shop.folder / f"{name}.py").write_text("raise SystemExit('hijacked')")
    shop.start(cwd=str(shop.folder))
    assert shop.run("true").state == COMPLETED


def test_what_workers_say_is_a_line_for_each_start_and_end(shop: Shop) -> None:
    supervisor = shop.start()
    shop.run("true", id="good")
    shop.run("echo oh no; exit 3", id="bad")
    shop.stop(supervisor)
    lines = [json.dumps(line[9:]) for line in supervisor.log.splitlines()]
    text = "\n".join(lines)
    assert "good start" in text
    assert "good done" in text
    assert "bad start" in text
    assert re.search(r"bad failed  exit 3 after \S+: oh no; dead, see", text)
