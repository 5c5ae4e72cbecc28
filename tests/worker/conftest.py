"""Fixtures of the engine's tests: real stores, real workers, and nothing left of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .helpers import Shop
from .witness import Witness


@pytest.fixture(scope="session", autouse=True)
def _home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A home of the tests' own, for them and for all that they start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QUEUECTL_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A store of this test; when it is over, nothing that it started may be left."""
    shop = Shop(tmp_path)
    try:
        yield shop
    finally:
        shop.close()


@pytest.fixture
def site(tmp_path: Path) -> Callable[[str], dict[str, str]]:
    """Of some code, the environment in which every Python runs it first."""

    def environment(code: str) -> dict[str, str]:
        folder = tmp_path / "site"
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(code)
        path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
        return {"PYTHONPATH": path}

    return environment


@pytest.fixture
def witness(tmp_path: Path) -> Witness:
    """Where the runs of this test say that they begin and end."""
    return Witness(tmp_path)
