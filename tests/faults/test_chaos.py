"""Chaos in its short form; `make chaos` is the long one (see chaos.py)."""

from __future__ import annotations

import pytest

from postgres_server import shared_server

from .chaos import Round
from .chaos_postgres import FleetRound, chaos_server


@pytest.mark.parametrize("seed", [12])
def test_no_promise_is_broken_whatever_is_killed_stopped_or_fails(seed: int) -> None:
    _fight(Round(seed, 10))


@pytest.mark.parametrize("seed", [12])
def test_no_promise_is_broken_in_a_fleet_whatever_fails_or_is_cut_off(seed: int) -> None:
    shared_server()  # skips where there is none
    with chaos_server() as server:
        _fight(FleetRound(server, seed, 6))


def _fight(fight: Round) -> None:
    fight.run()
    assert fight.violations == [], dict(fight.faults)
    assert fight.runs > 20
    assert fight.faults.total() > 5
