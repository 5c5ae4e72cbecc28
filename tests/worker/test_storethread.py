"""The one thread that may wait for the store."""

from __future__ import annotations

import select
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from queuectl.errors import StoreError
from queuectl.store.base import Store
from queuectl.worker.doorbell import Bells, Doorbell
from queuectl.worker.storethread import StoreThread

from .helpers import Shop, wait_until


class Heard:
    """What a call or a look came to."""

    def __init__(self) -> None:
        self.results: list[Any] = []
        self.errors: list[Any] = []

    def __call__(self, result: Any, error: Any) -> None:
        if error is None:
            self.results.append(result)
        else:
            self.errors.append(error)


def look_nowhere(_store: Store) -> None:
    return None


@pytest.fixture
def bell(shop: Shop) -> Iterator[Doorbell]:
    """Hung for the shop's store."""
    bell = Doorbell(shop.uid, "a-worker")
    yield bell
    bell.close()


@pytest.fixture
def begun(bell: Doorbell) -> Iterator[list[StoreThread]]:
    """Threads to be ended when the test is over."""
    threads: list[StoreThread] = []
    yield threads
    for thread in threads:
        thread.finish(5)


@pytest.fixture
def thread(shop: Shop, bell: Doorbell, begun: list[StoreThread]) -> StoreThread:
    """One that looks nowhere, not started yet."""
    thread = StoreThread(lambda: _open(shop), look_nowhere, 60, bell)
    begun.append(thread)
    return thread


def deliver_until(thread: StoreThread, condition: Any) -> None:
    def look() -> bool:
        if select.select([thread.fileno()], [], [], 0)[0]:
            thread.deliver()
        return bool(condition())

    wait_until(look)


def test_calls_are_done_in_order_there_and_told_here(shop: Shop, thread: StoreThread) -> None:
    heard, where = Heard(), Heard()
    for n in range(5):
        thread.call(lambda _store, n=n: n, heard)
    thread.call(
        lambda store: (threading.current_thread() is not threading.main_thread(), store.uid),
        where,
    )
    thread.start()
    deliver_until(thread, lambda: where.results)
    assert heard.results == [0, 1, 2, 3, 4]
    assert where.results == [(True, shop.uid)]


def _open(shop: Shop) -> Store:
    from queuectl.store import open_store

    return open_store(shop.url)


def test_an_error_of_the_store_is_told_and_the_thread_goes_on(
    shop: Shop, thread: StoreThread
) -> None:
    heard = Heard()

    def refuse(_store: Store) -> None:
        raise StoreError("no")

    thread.start()
    thread.call(refuse, heard)
    thread.call(lambda store: store.uid, heard)
    deliver_until(thread, lambda: heard.results)
    assert [error.message for error in heard.errors] == ["no"]


def test_a_store_that_cannot_be_opened_is_tried_again_with_the_next_call(
    shop: Shop, bell: Doorbell, begun: list[StoreThread]
) -> None:
    attempts: list[int] = []

    def open_it() -> Store:
        attempts.append(1)
        if len(attempts) < 3:
            raise StoreError("not yet")
        return _open(shop)

    thread = StoreThread(open_it, look_nowhere, 60, bell)
    begun.append(thread)
    thread.start()
    heard = Heard()
    for _ in range(3):
        thread.call(lambda store: store.uid, heard)
    deliver_until(thread, lambda: heard.results)
    assert (len(heard.errors), heard.results) == (2, [shop.uid])


def test_what_stands_by_is_done_once_when_the_bell_rings(
    shop: Shop, thread: StoreThread
) -> None:
    done, rung = Heard(), Heard()
    thread.on_bell = rung
    thread.start()
    thread.stand_by(lambda store: store.uid, done)
    Bells(shop.uid).ring()
    deliver_until(thread, lambda: done.results)
    assert not thread.stand_down()
    Bells(shop.uid).ring()
    deliver_until(thread, lambda: rung.results)
    assert done.results == [shop.uid]


def test_whoever_hears_of_news_elsewhere_may_ring_without_a_bell(
    shop: Shop, thread: StoreThread
) -> None:
    done, rung, called = Heard(), Heard(), Heard()
    thread.on_bell = rung
    thread.call(lambda _store: thread.ring(), called)
    thread.stand_by(lambda store: store.uid, done)
    thread.start()
    deliver_until(thread, lambda: done.results)
    thread.ring()
    deliver_until(thread, lambda: rung.results)
    assert (done.results, called.results) == ([shop.uid], [None])


def test_what_has_stood_down_is_never_done(shop: Shop, thread: StoreThread) -> None:
    done, rung = Heard(), Heard()
    thread.on_bell = rung
    thread.stand_by(lambda store: store.uid, done)
    assert thread.stand_down()
    assert not thread.stand_down()
    thread.start()
    Bells(shop.uid).ring()
    deliver_until(thread, lambda: rung.results)
    assert not done.results


def test_it_looks_around_as_soon_as_the_store_is_open(
    shop: Shop, bell: Doorbell, begun: list[StoreThread]
) -> None:
    news = Heard()
    thread = StoreThread(lambda: _open(shop), lambda store: store.uid, 3600, bell)
    begun.append(thread)
    thread.on_news = news
    thread.call(lambda _store: None, Heard())
    thread.start()
    deliver_until(thread, lambda: news.results)
    assert news.results == [shop.uid]


def test_it_looks_around_at_its_interval_busy_or_idle(
    shop: Shop, bell: Doorbell, begun: list[StoreThread]
) -> None:
    looks: list[int] = []
    news = Heard()

    def look(_store: Store) -> int | None:
        looks.append(1)
        return len(looks) if len(looks) != 2 else None

    thread = StoreThread(lambda: _open(shop), look, 0.05, bell)
    begun.append(thread)
    thread.on_news = news
    thread.call(lambda _store: None, Heard())
    thread.start()
    deliver_until(thread, lambda: news.results)
    busy = Heard()

    def once_more() -> bool:
        thread.call(lambda _store: None, busy)
        return 5 in news.results

    deliver_until(thread, once_more)
    assert news.results[:4] == [1, 3, 4, 5]  # nothing is told of a look that saw nothing


def test_looks_that_take_long_leave_most_of_the_time_to_calls(
    shop: Shop, bell: Doorbell, begun: list[StoreThread]
) -> None:
    looks: list[int] = []

    def look(_store: Store) -> None:
        threading.Event().wait(0.02)
        looks.append(1)

    thread = StoreThread(lambda: _open(shop), look, 0.001, bell)
    begun.append(thread)
    heard = Heard()
    thread.start()
    for number in range(50):
        thread.call(lambda _store: threading.Event().wait(0.005), heard)
        deliver_until(thread, lambda number=number: len(heard.results) > number)
    assert 0 < len(looks) < 25


def test_whatever_else_goes_wrong_there_ends_the_process() -> None:
    """A worker without its store thread would look alive and do nothing."""
    code = (
        "import time\n"
        "from queuectl.worker.doorbell import Doorbell\n"
        "from queuectl.worker.storethread import StoreThread\n"
        "def open_it(): raise OSError('too many open files')\n"
        "bell = Doorbell('store', 'worker')\n"
        "thread = StoreThread(open_it, lambda store: None, 60, bell)\n"
        "thread.call(lambda store: None, lambda result, error: None)\n"
        "thread.start()\n"
        "time.sleep(30)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode not in (0, 1)
    assert "too many open files" in done.stderr
