"""The threads of a worker whose claims are leases: what they outlive, and what ends them."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from queuectl.errors import WorkerGone
from queuectl.worker import ear as ear_module
from queuectl.worker import heart as heart_module
from queuectl.worker.ear import Ear
from queuectl.worker.heart import Heart, boot_ns
from queuectl.worker.slots import SlotFile

from .helpers import wait_until

LEASE = 3.0


class Distant:
    """A store far away that this machine is now and then too short of something to reach."""

    uid = "0123456789ab"

    def __init__(self, shortages: int) -> None:
        self.shortages = shortages
        self.beats = 0
        self.listening = 0
        self.gone = False

    def be_short(self) -> None:
        if self.shortages:
            self.shortages -= 1
            raise OSError(errno.EMFILE, "Too many open files")

    def open(self, *_words: object) -> Distant:
        self.be_short()
        return self

    def heartbeat(self, _worker_id: str, _now: int) -> None:
        self.be_short()
        if self.gone:
            raise WorkerGone("gone")
        self.beats += 1

    def listen(self) -> None:
        self.be_short()
        self.listening += 1

    def close(self) -> None:
        """A real store would let go of its connection."""

    def __enter__(self) -> Distant:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


@pytest.fixture
def slot_file(tmp_path: Path) -> Iterator[SlotFile]:
    file = SlotFile(os.path.join(tmp_path, "slots"), "0a0a0a0a", 4)
    yield file
    file.remove()


@pytest.mark.parametrize("shortages", [1, 2, 3])
def test_a_heart_goes_on_beating_when_the_machine_has_descriptors_again(
    slot_file: SlotFile, monkeypatch: pytest.MonkeyPatch, shortages: int
) -> None:
    store = Distant(shortages)
    monkeypatch.setattr(heart_module, "open_store", store.open)
    began = boot_ns()
    heart = Heart("far away", "0a0a0a0a", LEASE, began, slot_file)
    fence = heart.seconds_left + (boot_ns() - began) / 1e9
    heart.start()
    try:
        wait_until(lambda: store.beats >= 2, what="for a heart to beat")
        assert heart.seconds_left > 0
        assert heart.seconds_left + (boot_ns() - began) / 1e9 > fence
    finally:
        heart.stop()
        _wait_for_the_end_of("heart")


def test_a_heart_that_hears_that_others_have_its_jobs_lets_the_fence_fall(
    slot_file: SlotFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Distant(0)
    store.gone = True
    monkeypatch.setattr(heart_module, "open_store", store.open)
    heart = Heart("far away", "0a0a0a0a", LEASE, boot_ns(), slot_file)
    heart.start()
    wait_until(lambda: heart.seconds_left <= 0)
    assert heart.end.message == "the lease could not be renewed: gone"
    _wait_for_the_end_of("heart")


def test_a_heart_that_reached_nobody_says_why(
    slot_file: SlotFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heart_module, "open_store", Distant(1_000_000).open)
    heart = Heart("far away", "0a0a0a0a", LEASE, boot_ns(), slot_file)
    heart.start()
    wait_until(lambda: heart.seconds_left <= 0)
    assert "in time: this machine is short: Too many open files" in heart.end.message
    heart.stop()
    _wait_for_the_end_of("heart")


@pytest.mark.parametrize("shortages", [1, 2])
def test_an_ear_goes_on_listening_when_the_machine_has_descriptors_again(
    monkeypatch: pytest.MonkeyPatch, shortages: int
) -> None:
    monkeypatch.setattr(ear_module, "_TRY_AGAIN", 0.01)
    store: Any = Distant(shortages)
    ear = Ear(store.open, lambda: None)
    ear.start()
    wait_until(lambda: store.listening)
    ear.stop()
    _wait_for_the_end_of("ear")


def _wait_for_the_end_of(name: str) -> None:
    wait_until(lambda: name not in [thread.name for thread in threading.enumerate()])
