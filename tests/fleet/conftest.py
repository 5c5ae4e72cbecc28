"""A fleet for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .fleet import Fleet


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    """Leases of three seconds."""
    with Fleet() as fleet:
        yield fleet


@pytest.fixture
def patient_fleet() -> Iterator[Fleet]:
    """Leases of a minute: what lasts less charges nobody."""
    with Fleet(lease_seconds="60") as fleet:
        yield fleet
