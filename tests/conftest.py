"""What all tests share."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def runtime_dir() -> Iterator[str]:
    """Doorbells of the tests' workers hang in a folder of their own, short enough for
    socket paths, gone at the end even if a test killed its workers."""
    folder = tempfile.mkdtemp(prefix="qctl-", dir="/tmp")
    os.environ["QUEUECTL_RUNTIME_DIR"] = folder
    os.environ.pop("QUEUECTL_DB", None)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
