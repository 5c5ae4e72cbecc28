"""Pid namespaces of the tests' own."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest


def pid_namespace() -> list[str]:
    """The words before a command that make it the first process of one; skips the test where
    none can be made."""
    unshare = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if os.getuid() != 0:
        unshare.append("--map-root-user")
    if (
        not shutil.which("unshare")
        or subprocess.run([*unshare, "true"], check=False).returncode
    ):
        pytest.skip("no pid namespace can be made here")
    return unshare
