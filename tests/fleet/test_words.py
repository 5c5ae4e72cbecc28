"""What is said of a fleet in trouble, and what a job printed, wherever one asks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time

from faults.arena import until
from faults.jobs import Spec
from faults.processes import Host
from queuectl.worker.heart import boot_ns

from .fleet import Fleet, figures

SECRET = "s3cret"  # noqa: S105


def test_a_worker_that_is_not_heard_of_is_told_until_it_is_heard_of_again() -> None:
    with Fleet(lease_seconds="15") as fleet:
        for name in ("still", "well"):
            fleet.start_tree(1, 1, host=fleet.host(name))
        well = fleet.hosts["well"]
        assert until(lambda: fleet.serves("still") and fleet.serves("well"))
        fleet.enqueue([Spec("j", "nap 60"), Spec("k", "nap 60")])
        assert until(lambda: len(fleet.lines()) == 2)
        (worker,) = fleet.workers("still")
        assert "silent" not in fleet.ask("status", host=well)[1]
        stopped = fleet.pids("supervisor", "worker", "job", host="still")
        fleet.signal(signal.SIGSTOP, stopped)
        # As it will be in 7 s: the last heartbeat is that old, the lease has 8 to go.
        fleet.query(
            "UPDATE queuectl.workers SET lease_until = clock_timestamp() + interval '8 s'"  # noqa: S608
            f" WHERE id = '{worker.id}'"
        )
        assert "; 1 silent for " in fleet.ask("status", host=well)[1]
        listed = {each["id"]: each for each in fleet.ask_json("worker", "list", host=well)}
        assert 7 < listed.pop(worker.id)["silent_seconds"] < 15
        assert [each["silent_seconds"] for each in listed.values()] == [None]
        lines = fleet.ask("worker", "list", host=well)[1].splitlines()
        assert ["silent" in line for line in lines if worker.id in line] == [True]
        fleet.signal(signal.SIGCONT, stopped)
        assert until(lambda: "silent" not in fleet.ask("status", host=well)[1])
        assert fleet.job("j").state == fleet.job("k").state == "processing"


def test_who_asks_where_no_worker_is_hears_that_others_have_some() -> None:
    with Fleet(lease_seconds="15") as fleet:
        fleet.start_tree(1, 1, host=fleet.host("busy"))
        fleet.host("empty")
        empty = fleet.hosts["empty"]
        assert until(lambda: fleet.serves("busy"))
        (worker,) = fleet.workers("busy")
        fleet.query("UPDATE queuectl.workers SET host = 'far', boot_id = 'another'")
        code, out, _err = fleet.ask("worker", "health", host=empty)
        assert (code, out) == (0, "1 worker(s) alive, none on this host\n")
        code, out, _err = fleet.ask("worker", "stop", host=empty)
        assert (code, "1 elsewhere" in out) == (0, True)
        code, _out, err = fleet.ask("worker", "stop", worker.id, host=empty)
        assert code == 3
        assert "is on far" in err
        assert f"queuectl worker stop --all-hosts {worker.id}" in err
        assert fleet.ask("worker", "stop", "--all-hosts", worker.id, host=empty)[0] == 0


def test_a_store_that_cannot_be_reached_is_one_line_with_its_place_and_no_password(
    patient_fleet: Fleet,
) -> None:
    fleet = patient_fleet
    fleet.host("cut")
    proxy = fleet.proxies["cut"]
    url = f"postgresql://postgres:{SECRET}@127.0.0.1:{proxy.port}/{fleet.database}"
    host = Host("cut", fleet.hosts["cut"].env | {"QUEUECTL_DB": url, "PGCONNECT_TIMEOUT": "2"})
    proxy.refuse = True
    _is_told_in_a_line(fleet, host, proxy.port)
    proxy.refuse, proxy.stalled = False, True
    began = time.monotonic()
    _is_told_in_a_line(fleet, host, proxy.port)
    figures(told_that_nobody_answers_after=time.monotonic() - began)


def _is_told_in_a_line(fleet: Fleet, host: Host, port: int) -> None:
    for words in (["status"], ["worker", "list", "--json"]):
        code, out, err = fleet.ask(*words, host=host, timeout=20)
        assert (code, out) == (5, "")
        first, *hints = err.splitlines()
        assert f"postgresql://postgres@127.0.0.1:{port}/" in first
        assert len(hints) <= 1
        assert SECRET not in err
    assert json.loads(err)["error"]["message"]


def test_output_is_followed_from_another_host_while_the_job_runs(
    patient_fleet: Fleet,
) -> None:
    fleet = patient_fleet
    fleet.start_tree(1, 1, host=fleet.host("a"))
    elsewhere = fleet.host("elsewhere")
    assert until(lambda: fleet.serves("a"))
    go = os.path.join(fleet.folder, "go")
    line = 'read -r up _ < /proc/uptime; echo "at $up"'
    script = f"{line}; echo oops >&2; while [ ! -e {go} ]; do sleep 0.05; done; {line}; exit 3"
    spec = {"id": "j", "command": script, "max_retries": 1}
    assert fleet.ask("enqueue", json.dumps(spec), host=elsewhere)[0] == 0
    follower = subprocess.Popen(
        fleet.command("logs", "-f", "j", host=elsewhere), env=fleet.env | elsewhere.env,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert follower.stdout is not None
        assert follower.stderr is not None
        # The job ends only when this line has come here.
        first = follower.stdout.readline()
        lags = [boot_ns() / 1e9 - float(first.split()[1])]
        assert fleet.job("j").state == "processing"
        with open(go, "w", encoding="utf-8"):
            pass
        second = follower.stdout.readline()
        lags.append(boot_ns() / 1e9 - float(second.split()[1]))
        assert follower.wait(20) == 0
        assert follower.stderr.readline() == "oops\n"
    finally:
        follower.kill()
        follower.communicate()
    figures(logs_f_lag=[round(lag, 2) for lag in lags])
    assert fleet.ask("logs", "j", host=elsewhere)[1:] == (first + second, "oops\n")
    assert fleet.ask_json("show", "j", host=elsewhere)["exit_code"] == 3


def test_the_output_of_a_talkative_job_is_bounded_in_the_store_and_in_the_worker() -> None:
    with Fleet(lease_seconds="60", output_limit="10000") as fleet:
        fleet.start_tree(1, 1, host=fleet.host("a"))
        elsewhere = fleet.host("elsewhere")
        assert until(lambda: fleet.serves("a"))
        (worker,) = fleet.workers("a")
        fleet.enqueue([Spec("first", "talks")])
        assert until(fleet.all_ended)
        before = _most_memory(worker.pid)
        script = "head -c 50000000 /dev/zero | tr '\\0' x; sleep 1.5; head -c 60 /dev/zero >&2"
        assert fleet.ask("enqueue", "--", "sh", "-c", script, host=elsewhere)[0] == 0
        assert until(fleet.all_ended, 40)
        grown = _most_memory(worker.pid) - before
        code, out, err = fleet.ask("logs", "j2", host=elsewhere)
        assert (code, out) == (0, "x" * 10_000)
        assert "49,990,000 bytes of stdout dropped" in err
        assert err.endswith("\0" * 60)
        figures(memory_grown_by=f"{grown / 1e6:.1f} MB")
        assert grown < 8e6
        ((kept,),) = fleet.query("SELECT sum(length(data)) FROM queuectl.output")
        assert int(str(kept)) == 3 * 10_000 + 60


def _most_memory(pid: int) -> int:
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))
