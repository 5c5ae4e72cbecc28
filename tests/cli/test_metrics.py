"""`queuectl metrics`."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from queuectl.cli.jsonshapes import durations_json

from .scene import Scene


def test_metrics_as_json_have_every_documented_key(scene: Scene) -> None:
    scene.end(scene.start("j1"))
    scene.kill("j2")
    shape = scene.run("metrics", "--json").json
    assert shape["events"] == {
        "enqueued": 2,
        "started": 2,
        "completed": 1,
        "failed": 1,
        "dlq": 1,
    }
    assert shape["duration"].keys() == {"mean", "p50", "p95", "p99", "max"}
    assert shape["duration"]["mean"] == 0.5
    assert "throughput" in shape
    assert [event["id"] for event in shape["recent"]] == ["j2", "j1"]
    assert shape["recent"][0].keys() == {"at", "id", "event", "duration", "error"}
    assert shape["recent"][0]["error"] == "exit 1: it broke"


def test_recent_chooses_how_many_events(scene: Scene) -> None:
    for n in range(12):
        scene.end(scene.start(f"job{n}"))
    assert len(scene.run("metrics", "--json").json["recent"]) == 10
    assert len(scene.run("metrics", "--json", "--recent", "50").json["recent"]) == 12
    assert "job0" in scene.run("metrics", "--recent", "50").out
    assert scene.run("metrics", "--recent", "-1").code == 2


def test_an_empty_store_has_metrics(scene: Scene) -> None:
    assert scene.run("metrics").code == 0
    assert scene.run("metrics", "--json").json["duration"]["p99"] is None


def test_percentiles_are_by_nearest_rank() -> None:
    assert durations_json([float(n) for n in range(1, 101)]) == {
        "mean": 50.5,
        "p50": 50.0,
        "p95": 95.0,
        "p99": 99.0,
        "max": 100.0,
    }
    assert durations_json([2.0])["p99"] == 2.0


def test_the_exposition_is_read_by_prometheus_own_parser(scene: Scene) -> None:
    scene.end(scene.start("j1"))
    scene.add("j2", queue="gpu")
    text = scene.run("metrics", "--prometheus").out
    families = {family.name: family for family in text_string_to_metric_families(text)}
    jobs = {
        (sample.labels["queue"], sample.labels["state"]): sample.value
        for sample in families["queuectl_jobs"].samples
    }
    assert jobs[("gpu", "pending")] == 1
    assert jobs[("default", "completed")] == 1
    events = families["queuectl_events"]
    assert events.type == "counter"
    assert {s.name for s in events.samples} == {"queuectl_events_total"}
    assert families["queuectl_workers"].samples[0].value == 1


def test_json_and_prometheus_exclude_each_other(scene: Scene) -> None:
    assert scene.run("metrics", "--prometheus", "--json").code == 2
