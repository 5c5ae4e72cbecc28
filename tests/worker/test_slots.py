"""The slot file: proof of life, and what a worker was running when it died."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from queuectl import host
from queuectl.store.slotlock import is_locked, try_lock
from queuectl.worker.rescue import dead_workers
from queuectl.worker.slots import Entry, SlotFile, Watch, read_entries


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path / "slots")


def test_a_worker_lives_as_long_as_it_holds_its_file(folder: str) -> None:
    file = SlotFile(folder, "w1", 4)
    assert is_locked(folder, "w1")
    assert try_lock(file.path) is None
    assert dead_workers(folder) == []
    file.remove()
    assert not is_locked(folder, "w1")
    assert not os.path.exists(folder)


def test_a_killed_worker_leaves_a_file_that_nobody_holds(folder: str) -> None:
    code = (
        "import os, sys; from queuectl.worker.slots import SlotFile\n"
        "file = SlotFile(sys.argv[1], 'w1', 4)\n"
        "file.begin(7, 100)\n"
        "number = file.begin(8, 100)\n"
        "file.started(number, 8, 4242, 100, 105)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", code, folder], check=False)
    assert dead_workers(folder) == ["w1"]
    path = os.path.join(folder, "w1")
    entries = read_entries(path)
    assert entries is not None
    assert sorted(entries) == [Entry(7, 0, 100, 0), Entry(8, 4242, 100, 105)]
    lock = try_lock(path)
    assert lock is not None
    assert dead_workers(folder) == []  # whoever rescues it holds it
    os.close(lock)


def test_only_its_user_may_read_it(folder: str) -> None:
    before = os.umask(0)
    try:
        file = SlotFile(folder, "w1", 4)
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
    assert stat.S_IMODE(os.stat(file.path).st_mode) == 0o600
    file.remove()


def test_entries_are_used_again(folder: str) -> None:
    file = SlotFile(folder, "w1", 2)
    for token in range(1, 100):
        number = file.begin(token, 1)
        file.started(number, token, 1000 + token, 1, 2)
        assert file.room == 1
        assert read_entries(file.path) == [Entry(token, 1000 + token, 1, 2)]
        file.clear(number)
    assert (file.room, read_entries(file.path)) == (2, [])
    file.remove()


@pytest.mark.parametrize("what", ["boot_id", "pid_namespace"])
def test_nothing_is_told_by_a_file_of_another_boot_or_namespace(
    folder: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = SlotFile(folder, "w1", 2)
    file.begin(1, 1)
    monkeypatch.setattr(host, what, lambda: "elsewhere")
    assert read_entries(file.path) is None
    monkeypatch.undo()
    file.remove()


@pytest.mark.parametrize("content", [b"", b"short", b"\0" * 4096, b"another kind" * 100])
def test_nothing_is_told_by_a_file_that_is_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "w1"
    path.write_bytes(content)
    assert read_entries(str(path)) is None


def test_a_file_that_was_cut_short_tells_what_it_still_holds(folder: str) -> None:
    file = SlotFile(folder, "w1", 4)
    file.begin(1, 1)
    content = Path(file.path).read_bytes()
    other = Path(folder) / "w2"
    other.write_bytes(content[:-5])
    assert read_entries(str(other)) == read_entries(file.path) == [Entry(1, 0, 1, 0)]
    other.unlink()
    file.remove()


def test_the_watchdog_sees_the_loop_turn(folder: str) -> None:
    file = SlotFile(folder, "w1", 2)
    watch = Watch(folder, "w1")
    before = watch.turns()
    assert watch.turns() == before
    file.turned()
    assert watch.turns() != before
    watch.close()
    file.remove()


def test_a_file_that_was_emptied_stands_still_and_sets_no_fence(folder: str) -> None:
    file = SlotFile(folder, "w1", 2)
    file.set_fence(7)
    watch = Watch(folder, "w1")
    assert watch.fence() == 7
    os.truncate(file.path, 0)
    assert (watch.turns(), watch.fence()) == (0, 0)
    watch.close()
    file.remove()


def test_a_file_that_was_removed_or_replaced_is_noticed(folder: str) -> None:
    file = SlotFile(folder, "w1", 2)
    assert file.in_place()
    os.rename(file.path, f"{file.path}.away")
    assert not file.in_place()
    Path(file.path).touch()
    assert not file.in_place()
    os.rename(f"{file.path}.away", file.path)
    assert file.in_place()
    file.remove()


def test_two_workers_cannot_have_one_name(folder: str) -> None:
    """Were an id given out twice, the first would keep its proof of life."""
    file = SlotFile(folder, "w1", 2)
    Path(f"{file.path}.new").touch()
    with pytest.raises(FileExistsError):
        SlotFile(folder, "w1", 2)
    os.unlink(f"{file.path}.new")
    file.remove()


def test_the_whole_file_is_on_the_disk_from_the_first(folder: str) -> None:
    """A map of a sparse file on a full disk ends its writer with SIGBUS."""
    file = SlotFile(folder, "w1", 1000)
    found = os.stat(file.path)
    assert found.st_blocks * 512 >= found.st_size > 32_000
    file.remove()
