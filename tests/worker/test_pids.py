"""Where pids are few, or ours is the first: scenes in pid namespaces of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from pid_namespace import pid_namespace

REUSED = """
import os, sys
from pathlib import Path
from queuectl.model import COMPLETED, DEAD, PROCESSING
from worker.helpers import Shop, wait_until

folder = Path(sys.argv[1])
shop = Shop(folder)
shop.configure(kill_grace=1)
shop.start(concurrency=2)
pid, deaf = folder / "pid", folder / "deaf"
stubborn = f"setsid sh -c 'trap \\"\\" TERM; touch {deaf}; exec sleep 60'"
heard = f"while [ ! -e {deaf} ]; do :; done"
shop.add(f"echo $$ > {pid}; {stubborn} & {heard}; exit 3", "lingering", max_retries=1)
number = int(wait_until(lambda: pid.exists() and pid.read_text().strip()))
wait_until(lambda: not os.path.exists(f"/proc/{number}"))
# Nobody else in this namespace starts a process: the next one has that number.
Path("/proc/sys/kernel/ns_last_pid").write_text(str(number - 1))
shop.add("exec sleep 2", "bystander", max_retries=1)
wait_until(lambda: os.path.exists(f"/proc/{number}"))
assert shop.state("lingering") == PROCESSING
assert (shop.wait_for("lingering").state, shop.get("lingering").exit_code) == (DEAD, 3)
assert shop.wait_for("bystander").state == COMPLETED
shop.close()
"""


FIRST = """
import os, signal, sys
from pathlib import Path
from queuectl.model import DEAD
from queuectl.worker.supervisor import start
from worker.helpers import Shop, every_pid, kill, state_of, wait_until

folder = Path(sys.argv[1])
shop = Shop(folder)
if os.fork():
    sys.exit(start(shop.url, count=1, concurrency=1, queues=(), drain=False))
shop = Shop(folder)
shop.add("sleep 60 & sleep 60", "job", max_retries=1)
shop.wait_for_run("job")
kill(shop.worker().pid)
assert shop.wait_for("job").state == DEAD
wait_until(lambda: "Z" not in map(state_of, every_pid()), what="for nobody to be a zombie")
(folder / "over").touch()
kill(1, signal.SIGTERM)
"""


def test_a_run_that_lingers_and_one_that_got_its_pid_do_each_other_no_harm(
    tmp_path: Path,
) -> None:
    _play(REUSED, tmp_path)


def test_a_supervisor_that_is_the_first_process_of_a_container_reaps_whom_it_is_handed(
    tmp_path: Path,
) -> None:
    _play(FIRST, tmp_path)
    assert (tmp_path / "over").exists()


def _play(scene: str, folder: Path) -> None:
    """Run a scene as the first process of a pid namespace."""
    tests = str(Path(__file__).parents[1])
    path = os.pathsep.join([tests, os.environ.get("PYTHONPATH", "")])
    subprocess.run(
        [*pid_namespace(), sys.executable, "-c", scene, str(folder)],
        env={**os.environ, "PYTHONPATH": path},
        check=True,
        timeout=60,
    )
