"""`max_retries: 1` means at most once (P6): such a job never begins twice."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter

from .arena import Arena, Spec, until
from .checker import check


def test_jobs_with_one_try_never_begin_twice_though_workers_are_killed() -> None:
    luck = random.Random(5)
    specs = [
        Spec(f"once-{n}", luck.choice(("quick", "quick", "nap 0.05", "nap 0.2")), 1)
        for n in range(100)
    ]
    with Arena(worker_poll_interval="0.05", shutdown_timeout="0.1") as arena:
        arena.enqueue(specs)
        arena.start_tree(2, 2)
        kills = 0
        ends = time.monotonic() + 30
        while _left(arena) and time.monotonic() < ends:
            if not arena.pids("supervisor"):
                arena.start_tree(2, 2)
            if kills < 20:
                until(lambda: arena.pids("job"), 0.5)
                kills += _kill(arena, luck)
            pause_until = time.monotonic() + luck.uniform(0.05, 0.25)
            until(lambda until=pause_until: time.monotonic() > until)
        assert not _left(arena)
        arena.stop_all()
        starts = Counter(line[1] for line in arena.lines() if line[0] == "start")
        assert max(starts.values()) == 1
        assert check(arena, specs) == []
        met = arena.query("SELECT 1 FROM attempts WHERE outcome = 'lost'")
        assert met, "no kill met a run"


def _left(arena: Arena) -> int:
    with arena.store() as store:
        counts = store.stats().counts
    return counts["pending"] + counts["processing"]


def _kill(arena: Arena, luck: random.Random) -> int:
    """Usually a worker; at times all, or a stop that cuts runs off."""
    pids = arena.pids("worker")
    if not pids:
        return 0
    what = luck.random()
    if what < 0.3:
        arena.signal(signal.SIGKILL, [luck.choice(pids)])
    elif what < 0.8:
        arena.signal(signal.SIGKILL, arena.pids("supervisor", "worker"))
    else:
        arena.signal(signal.SIGTERM, arena.pids("supervisor"))
    return 1
