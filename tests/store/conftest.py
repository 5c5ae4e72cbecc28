"""Fixtures of the contract suite. Every test runs on every backend, and those that are the
core of it on the system's PostgreSQL, too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from queuectl.store.base import Store

from .backends import ALSO, BACKENDS, SqliteBackend
from .helpers import LivingWorker, audit, living_worker

pytest.register_assert_rewrite(f"{__package__}.machine")  # its steps say what differed

_CORE = (
    "test_claim",
    "test_due",
    "test_finish",
    "test_release",
    "test_rescue",
    "test_stale",
    "test_upgrade",
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Which backends a test runs on."""
    if "backend" in metafunc.fixturenames:
        is_core = metafunc.module.__name__.rpartition(".")[2] in _CORE
        names = [*BACKENDS, *ALSO] if is_core else [*BACKENDS]
        metafunc.parametrize("backend", names, indirect=True)


@pytest.fixture
def backend(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SqliteBackend]:
    """A place where stores can be made and opened; all are closed at the end."""
    monkeypatch.setenv("QUEUECTL_HOME", str(tmp_path / "home"))
    backend = (BACKENDS | ALSO)[request.param](tmp_path / "stores")
    yield backend
    backend.close()


@pytest.fixture
def store(backend: SqliteBackend) -> Iterator[Store]:
    """A new store, audited when the test is over."""
    store = backend.open()
    yield store
    audit(store)


@pytest.fixture
def open_another(backend: SqliteBackend, store: Store) -> Callable[[], Store]:
    """Opens one more connection to the same store."""
    return lambda: backend.open(store.url)


@pytest.fixture
def another(open_another: Callable[[], Store]) -> Store:
    """A second connection to the same store."""
    return open_another()


@pytest.fixture
def worker(store: Store) -> Iterator[LivingWorker]:
    """A living worker for all queues."""
    with living_worker(store) as worker:
        yield worker


@pytest.fixture
def other_worker(another: Store) -> Iterator[LivingWorker]:
    """A second living worker, on a connection of its own."""
    with living_worker(another) as worker:
        yield worker
