"""When a job that failed runs again."""

from __future__ import annotations

from queuectl.records import Record


class RetryPolicy(Record):
    """How often and after what delays a job is run again; seconds throughout.

    `backoff_jitter` is a share of the delay (0 to 1) of which a random part is added.
    """

    max_retries: int
    backoff_base: float
    backoff_max: float
    backoff_jitter: float

    @property
    def limit(self) -> int:
        """Charged runs at most; `max_retries` 0 means one."""
        return max(1, self.max_retries)

    def delay(self, attempts: int, luck: float) -> float:
        """Seconds from the end of charged run number `attempts` to the next start.

        `luck` in [0, 1) chooses the point within the jitter.
        """
        try:
            delay = min(float(self.backoff_base) ** attempts, self.backoff_max)
        except OverflowError:
            delay = self.backoff_max
        return delay + delay * self.backoff_jitter * luck
