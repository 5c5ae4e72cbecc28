"""How far ahead a worker may claim, so that nothing waits long behind a busy slot.

DESIGN section 3: no job waits more than about 50 ms behind a busy slot while another
worker is idle. So some milliseconds' work is claimed in any case, and more where there is
plenty for all (see `Want.plenty`): with many jobs a turn, each costs less. Claims that wait
while nothing starts are given back, and so are those that wait many times as long as they were
to: others may have nothing to do by then.
"""

from __future__ import annotations

import time

_LONGEST_WAIT = 0.05
_ANYWAY = 0.02
_PLENTY = 0.12
_LATE = 5 * _PLENTY
WATCH_AFTER = 0.004
"""A run shorter than this costs no watching of its pipes; what it prints waits in them."""
_LOUD_FOR = 20
MOST = 256
"""Claims ahead at most, a slot or many."""


class Pace:
    """Follows how long runs take; seconds."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._usual: float | None = None
        self.loud = 0
        """Not 0: the next run may fill a pipe before it is WATCH_AFTER old."""
        self.ahead = 0
        """How many jobs to claim beyond what can start at once."""
        self.plenty = 0
        """How many more, where there is plenty."""
        self.give_back_at = float("inf")
        self._filled = 0
        self._late_at = float("inf")

    def started(self) -> None:
        """A run began: the line moves."""
        self.give_back_at = min(time.monotonic() + _LONGEST_WAIT, self._late_at)

    def backlog_began(self) -> None:
        """Claims are waiting now."""
        self.give_back_at = time.monotonic() + _LONGEST_WAIT

    def filled(self, waiting: int) -> None:
        """So many wait now that more have come."""
        self._filled = waiting
        self._late_at = time.monotonic() + _LATE

    def ended(self, seconds: float, *, was_loud: bool) -> None:
        """A run took this long; a loud one filled a pipe."""
        self.loud = _LOUD_FOR if was_loud else max(0, self.loud - 1)
        usual = self._usual
        self._usual = seconds if usual is None else usual * 0.8 + seconds * 0.2
        self._plan()

    def held_up(self) -> None:
        """The line stood still: this is no time to claim ahead."""
        self._usual = max(self._usual or 0.0, _LONGEST_WAIT)
        self._plan()

    def runs_low(self, waiting: int) -> bool:
        """Whether it is time to ask for more."""
        return self.ahead + self.plenty > 0 and waiting <= self._filled // 4

    def _plan(self) -> None:
        usual = max(self._usual or 0.0, 0.0005)
        runs_a_second = self._slots / usual if usual < _LONGEST_WAIT else 0.0
        self.ahead = min(MOST, int(_ANYWAY * runs_a_second))
        self.plenty = min(MOST, int(_PLENTY * runs_a_second)) - self.ahead
