"""Chaos in its short form; `make chaos` is the long one (see chaos.py)."""

from __future__ import annotations

import pytest

from .chaos import Round


@pytest.mark.parametrize("seed", [12])
def test_no_promise_is_broken_whatever_is_killed_stopped_or_fails(seed: int) -> None:
    fight = Round(seed, 10)
    fight.run()
    assert fight.violations == [], dict(fight.faults)
    assert fight.runs > 20
    assert fight.faults.total() > 5
