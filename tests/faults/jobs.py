"""The jobs of a fight: what job.sh can be asked to do."""

from __future__ import annotations

import json
import os
import random
from typing import NamedTuple

_JOB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "job.sh")


class Spec(NamedTuple):
    """A job that is to be enqueued."""

    id: str
    kind: str
    max_retries: int = 3
    timeout: float = 20
    after: tuple[str, ...] = ()
    delay: float = 0
    priority: int = 5

    def line(self) -> str:
        """As `enqueue --file` takes it."""
        fields: dict[str, object] = {
            "id": self.id,
            "command": ["sh", _JOB, *self.kind.split()],
            "max_retries": self.max_retries,
            "timeout_seconds": self.timeout,
            "priority": self.priority,
        }
        if self.after:
            fields["after"] = list(self.after)
        if self.delay:
            fields["delay"] = self.delay
        return json.dumps(fields)


def some_jobs(luck: random.Random, prefix: str, count: int) -> list[Spec]:
    """A mixture, mostly short."""
    specs: list[Spec] = []
    for number in range(count):
        kind, timeout = luck.choice(_KINDS)
        retries = luck.choice((1, 1, 2, 3, 3, 5))
        after: tuple[str, ...] = ()
        if specs and luck.random() < 0.1:
            after = (luck.choice(specs).id,)
        delay = luck.choice((0, 0, 0, 0, 0.3, 1.5))
        job_id = f"{prefix}-{number}"
        specs.append(
            Spec(job_id, kind, retries, timeout, after, delay, luck.choice((1, 5, 5, 5, 10)))
        )
    return specs


_KINDS: list[tuple[str, float]] = [
    *[("quick", 20.0)] * 12,
    *[("nap 0.1", 20.0)] * 4,
    *[("nap 0.7", 20.0)] * 3,
    ("nap 2", 20),
    *[("fail 3", 20.0)] * 2,
    *[("flaky 1", 20.0)] * 2,
    ("signal SEGV", 20),
    ("signal KILL", 20),
    ("oom", 20),
    ("forks", 20),
    ("leaves", 20),
    ("talks", 20),
    ("late", 0.7),
    ("stubborn", 0.7),
]
