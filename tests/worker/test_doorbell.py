"""The doorbell: rung by anybody of this user, hung wherever that can be done."""

from __future__ import annotations

import os
import select
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from queuectl.store import open_store
from queuectl.worker import doorbell, slots
from queuectl.worker.doorbell import Bells, Doorbell
from queuectl.worker.rescue import rescue_all
from store.helpers import LivingWorker


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where bells will hang; it does not exist yet."""
    monkeypatch.chdir(tmp_path)  # pytest's own paths may be longer than a socket's
    monkeypatch.setenv("QUEUECTL_RUNTIME_DIR", ".")
    yield tmp_path / f"queuectl-{os.getuid()}"


def has_rung(bell: Doorbell) -> bool:
    return bool(select.select([bell], [], [], 0)[0])


def test_every_bell_of_the_store_rings_and_no_other(root: Path) -> None:
    one, two, other = Doorbell("s1", "w1"), Doorbell("s1", "w2"), Doorbell("s2", "w1")
    Bells("s1").ring()
    assert [has_rung(bell) for bell in (one, two, other)] == [True, True, False]
    one.hush()
    assert not has_rung(one)
    for bell in (one, two, other):
        bell.close()


def test_bells_can_be_hung_in_folders_that_are_not_there_yet_whatever_the_umask(
    root: Path,
) -> None:
    before = os.umask(0)
    try:
        bell = Doorbell("store", "worker")
    finally:
        os.umask(before)
    assert [stat.S_IMODE(p.stat().st_mode) for p in (root, root / "store")] == [0o700] * 2
    Bells("store").ring()
    assert has_rung(bell)
    bell.close()


def test_the_last_bell_takes_its_folders_with_it(root: Path) -> None:
    one, two = Doorbell("store", "w1"), Doorbell("store", "w2")
    one.close()
    assert root.exists()
    two.close()
    assert not root.exists()


def test_a_bell_rung_a_thousand_times_unheard_makes_nobody_wait(root: Path) -> None:
    bell = Doorbell("store", "worker")
    for _ in range(1000):
        Bells("store").ring()
    bell.hush()
    assert not has_rung(bell)
    bell.close()


def test_ringing_where_nobody_is_or_where_a_worker_was_killed_is_no_error(root: Path) -> None:
    Bells("store").ring()
    dead, alive = Doorbell("store", "dead"), Doorbell("store", "alive")
    dead._socket.close()  # as the kernel does; its name stays
    Bells("store").ring()
    assert has_rung(alive)
    doorbell.take_down_for("store", "dead")
    alive.close()
    assert not root.exists()


def test_a_rescuer_that_is_killed_on_its_way_leaves_no_bell_for_ever(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove = slots.remove

    def killed_after(path: str) -> None:
        remove(path)
        raise KeyboardInterrupt

    with open_store(str(tmp_path / "queue.db")) as store:
        worker = LivingWorker(store)
        bell = Doorbell(store.uid, worker.id)
        worker.die()
        with monkeypatch.context() as death:
            death.setattr(slots, "remove", killed_after)
            with pytest.raises(KeyboardInterrupt):
                rescue_all(store, 0)
        rescue_all(store, 0)
    assert not root.exists()
    bell.close()


def test_a_folder_of_ours_that_others_could_enter_is_shut_to_them(root: Path) -> None:
    root.mkdir()
    root.chmod(0o755)
    bell = Doorbell("store", "worker")
    assert stat.S_IMODE(root.stat().st_mode) == 0o700
    Bells("store").ring()
    assert has_rung(bell)
    bell.close()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give folders away")
def test_a_folder_of_somebody_else_is_not_used(root: Path) -> None:
    root.mkdir(mode=0o700)
    os.chown(root, 65534, 65534)
    bell = Doorbell("store", "worker")
    Bells("store").ring()
    assert not has_rung(bell)
    bell.close()


@pytest.mark.parametrize("where", ["/dev/null/bells", "x" * 120])
def test_where_no_bell_can_be_hung_the_worker_does_without(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QUEUECTL_RUNTIME_DIR", where)
    bell = Doorbell("store", "worker")
    Bells("store").ring()
    assert not has_rung(bell)
    bell.close()


def test_the_folder_that_was_chosen_for_bells_stays_as_it_is(root: Path) -> None:
    place = root.parent
    place.chmod(0o755)
    bell = Doorbell("store", "worker")
    bell.close()
    assert stat.S_IMODE(place.stat().st_mode) == 0o755
    assert list(place.iterdir()) == []


def test_bells_hung_while_others_leave_are_all_heard(root: Path) -> None:
    unheard: list[str] = []

    def come_and_go(name: str) -> None:
        for _ in range(200):
            bell = Doorbell("store", name)
            if not os.path.exists(root / "store" / name):
                unheard.append(name)
            bell.close()

    threads = [threading.Thread(target=come_and_go, args=(f"w{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert unheard == []
    assert not root.exists()
