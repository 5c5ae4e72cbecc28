"""The power goes: all that was not synced may be lost, in any mixture. What was
acknowledged must be there (P1), and nothing may be in halves."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator

import pytest

from queuectl.store import open_store

from .inject.faulty import FaultyVFS
from .storescript import STEPS, Stage, a_stage, forked, run_steps


class Platter:
    """What is on the disk for certain, and what the cache has not written yet."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._sure: dict[str, bytearray] = {}
        self._unsure: dict[str, list[tuple[str, bytes, int]]] = {}
        for name in os.listdir(folder):
            if name.endswith((".db", "-wal", "-journal")):
                with open(os.path.join(folder, name), "rb") as file:
                    self._sure[name] = bytearray(file.read())

    def after(self, operation: str, path: str, data: object, offset: int) -> None:
        """What the VFS did."""
        name = os.path.basename(path)
        if operation == "sync":
            content = self._sure.setdefault(name, bytearray())
            for change in self._unsure.pop(name, []):
                _apply(content, *change)
        elif operation == "delete":
            self._sure.pop(name, None)
            self._unsure.pop(name, None)
        elif operation == "write":
            assert isinstance(data, bytes)
            self._unsure.setdefault(name, []).append((operation, data, offset))
        elif operation == "truncate":
            assert isinstance(data, int)
            self._unsure.setdefault(name, []).append((operation, b"", data))

    def cut(self, target: str, luck: random.Random, keep: float) -> None:
        """Write down what a machine finds that comes up again."""
        os.makedirs(target)
        for name in self._sure.keys() | self._unsure.keys():
            content = bytearray(self._sure.get(name, b""))
            for change in self._unsure.get(name, []):
                if luck.random() < keep:
                    _apply(content, *change)
            with open(os.path.join(target, name), "wb") as file:
                file.write(content)


def _apply(content: bytearray, operation: str, data: bytes, offset: int) -> None:
    if operation == "truncate":
        del content[offset:]
        content.extend(bytes(offset - len(content)))
        return
    if len(content) < offset + len(data):
        content.extend(bytes(offset + len(data) - len(content)))
    content[offset : offset + len(data)] = data


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with a_stage() as stage:
        yield stage


def test_what_was_acknowledged_survives_a_power_cut_at_any_time(stage: Stage) -> None:
    url = stage.fresh()
    cuts = os.path.join(os.path.dirname(os.path.dirname(url)), "cuts")
    luck = random.Random(1)

    def work(done: Callable[[], None]) -> None:
        acked = count = 0
        platter = Platter(os.path.dirname(url))

        def hook(operation: str, _path: str, _data: object, _offset: int) -> None:
            nonlocal count
            if operation != "read":
                count += 1
                keep = (0, 0.5, 1)[count % 3]
                platter.cut(os.path.join(cuts, f"{count}-in-{acked}"), luck, keep)

        def acknowledge() -> None:
            nonlocal acked
            acked += 1
            platter.cut(os.path.join(cuts, f"after-{acked}"), luck, 0)
            done()

        vfs = FaultyVFS(hook, platter.after)
        run_steps(url, acknowledge)
        vfs.unregister()

    result = forked(work)
    assert not (result.failed or result.died), result.said
    names = os.listdir(cuts)
    assert len(names) > 100
    for name in names:
        path = os.path.join(cuts, name, "queue.db")
        if name.startswith("after-"):
            stage.expect(path, int(name.rpartition("-")[2]), name, exactly=True)
        else:
            stage.expect(path, int(name.rpartition("-")[2]), name)
    shutil.rmtree(cuts)
    assert result.acked == len(STEPS)


def test_the_first_job_of_a_new_store_survives_a_power_cut(stage: Stage) -> None:
    folder = os.path.dirname(stage.fresh()) + "-new"
    os.mkdir(folder)
    url = os.path.join(folder, "queue.db")
    cuts = folder + "-cuts"

    def work(done: Callable[[], None]) -> None:
        count = 0
        platter = Platter(folder)
        luck = random.Random(2)

        def hook(operation: str, _path: str, _data: object, _offset: int) -> None:
            nonlocal count
            if operation != "read":
                count += 1
                platter.cut(os.path.join(cuts, str(count)), luck, (0, 0.5, 1)[count % 3])

        vfs = FaultyVFS(hook, platter.after)
        with open_store(url) as store:
            next(iter(STEPS.values()))(store, {})
            platter.cut(os.path.join(cuts, "acked"), luck, 0)
            done()
        vfs.unregister()

    result = forked(work)
    assert not (result.failed or result.died), result.said
    for name in os.listdir(cuts):
        with open_store(os.path.join(cuts, name, "queue.db")) as store:
            found = sum(store.stats().counts.values())
        assert found == 7 if name == "acked" else found in (0, 7), name
    shutil.rmtree(cuts)
    shutil.rmtree(folder)
