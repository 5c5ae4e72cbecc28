"""Prometheus' text format of how things stand, with a registry of our own."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from queuectl.cli.jsonshapes import EVENTS, busy, durations_json
from queuectl.model import STATES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from prometheus_client import Metric

    from queuectl.model import Metrics, Stats, Worker


def exposition(stats: Stats, workers: Sequence[Worker], metrics: Metrics) -> str:
    """The text to serve or to write to a file of node_exporter's textfile collector."""
    registry = CollectorRegistry()
    registry.register(_Once([*_jobs(stats), *_workers(workers), *_runs(metrics)]))
    return generate_latest(registry).decode()


class _Once(Collector):
    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _jobs(stats: Stats) -> Iterable[Metric]:
    jobs = GaugeMetricFamily("queuectl_jobs", "Jobs by state", labels=("state", "queue"))
    paused = GaugeMetricFamily("queuectl_queue_paused", "1 if paused", labels=("queue",))
    for queue in stats.queues:
        for state in STATES:
            jobs.add_metric((state, queue.name), queue.counts.get(state, 0))
        paused.add_metric((queue.name,), int(queue.paused))
    yield jobs
    yield paused
    if stats.oldest_due_at is not None:
        yield GaugeMetricFamily(
            "queuectl_oldest_due_timestamp_seconds",
            "Since when the job first in line has been due",
            stats.oldest_due_at / 1000,
        )


def _workers(workers: Sequence[Worker]) -> Iterable[Metric]:
    living = [worker for worker in workers if worker.alive]
    slots = sum([worker.slots for worker in living])
    used = sum([busy(worker) for worker in living])
    yield GaugeMetricFamily("queuectl_workers", "Living worker processes", len(living))
    yield GaugeMetricFamily("queuectl_slots", "Slots of living workers", slots)
    yield GaugeMetricFamily("queuectl_slots_busy", "Slots in use", used)


def _runs(metrics: Metrics) -> Iterable[Metric]:
    events = CounterMetricFamily(
        "queuectl_events", "What has happened in the store's life", labels=("event",)
    )
    for event in EVENTS:
        events.add_metric((event,), metrics.events.get(event, 0))
    yield events
    lengths = GaugeMetricFamily(
        "queuectl_recent_run_duration_seconds",
        "Length of the last 1,000 runs",
        labels=("statistic",),
    )
    for name, value in durations_json(metrics.durations).items():
        if value is not None:
            lengths.add_metric((name,), value)
    yield lengths
