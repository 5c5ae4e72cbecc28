"""completion: what bash offers, and what it makes of a line at TAB, in real shells."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import Cli
from queuectl.model import STATES
from queuectl.store import open_store
from store.helpers import a_job

from .scene import Command, Scene, read_until

JOBS = {"pending": "p", "processing": "r", "completed": "c", "failed": "f", "dead": "d"}
JOBS["cancelled"] = "x"
ONES = list(JOBS.values())
ALL = {*ONES, "ns:one", "ns:two"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A store with a job in each state and two of a namespace, and others with one, `late`."""
    folder = tmp_path_factory.mktemp("completion")
    (folder / "rc").write_text(
        f'queuectl() {{ {sys.executable} -m queuectl "$@"; }}\n'
        f"source <(queuectl completion bash)\n"
        "PS1='ready$ '\n"
        """bind -x '"\\C-g": printf "<%s>" "$READLINE_LINE"'\n"""
    )
    (folder / "notes").touch()
    for name in ("o.db", "o o.db"):
        with open_store(str(folder / name)) as store:
            store.enqueue([a_job("late")], 0)
    scene = Scene(folder, None)
    scene.end(scene.start("c"))
    scene.end(scene.start("f"), "failed", exit_code=1, error="exit 1")
    scene.kill("d")
    scene.add("x")
    scene.store.cancel(["x"], 0)
    scene.start("r")
    scene.add("ns:one", "ns:two", queue="night", tags=("lr=0.1", "last"))
    scene.add("p")
    yield folder
    scene.close()


@pytest.fixture
def env(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What the shells live with: in the folder, with its first store as the usual one."""
    monkeypatch.chdir(folder)
    return {**os.environ, "HOME": str(folder), "QUEUECTL_DB": "queue.db", "TERM": "dumb"}


def offered(env: dict[str, str], line: str) -> set[str]:
    """What bash has to choose from at the end of a line, split as bash splits it."""
    words = re.findall(r"[:=@]|[^\s:=@]+", line) + ([""] if line.endswith(" ") else [])
    script = [
        "source rc 2>/dev/null",
        f"COMP_WORDS=({' '.join([repr(word) for word in words])}); COMP_LINE={line!r}",
        f"COMP_CWORD={len(words) - 1}; COMP_POINT={len(line)}; _queuectl",
        "printf '%s\\n' \"${COMPREPLY[@]}\"",
    ]
    shell = subprocess.run(
        ["bash", "--norc"],
        input="\n".join(script),
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(shell.stdout.split())


def completed(env: dict[str, str], line: str) -> str:
    """What an interactive bash makes of a line when TAB is pressed at its end."""
    ours, theirs = pty.openpty()
    bash = ["bash", "--noprofile", "--rcfile", "rc", "-i"]
    streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    with (
        os.fdopen(ours, "rb", buffering=0) as terminal,
        Command(bash, env=env, start_new_session=True, **streams),
    ):
        os.close(theirs)
        read_until(terminal, b"ready$ ")
        os.write(ours, line.encode() + b"\t\x07")
        said = read_until(terminal, b">").decode()
    return said[said.index("<") + 1 : said.index(">")]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_that_its_shell_can_read(cli: Cli, shell: str) -> None:
    script = cli.ok("completion", shell)
    for word in ("enqueue", "max-retries", "processing"):
        assert word in script
    assert not cli.home.exists()
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script, text=True, check=True)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("enq", {"enqueue"}),
        ("dlq ", {"list", "show", "retry", "purge"}),
        ("dlq re", {"retry"}),
        ("--db x.db dlq re", {"retry"}),
        ("list --st", {"--state"}),
        ("list --state d", {"dead"}),
        ("dlq list --st", set()),
        ("dlq retry --st", set()),
        ("list --nonsense=", set()),
        ("enqueue --id ", set()),
        ("enqueue --after ", ALL),
        ("show ", ALL),
        ("show d", {"d"}),
        ("config get max", {"max_retries"}),
        ("queue pause ", {"default", "night"}),
        ("list --tag ", {"last", "lr=0.1"}),
        ("retry --tag=la", {"last"}),
        ("enqueue --tag l", {"last", "lr=0.1"}),
        ("worker start --queue default,n", {"default,night"}),
        ("logs --stream ", {"stdout", "stderr"}),
        ("completion b", {"bash"}),
        ("worker st", {"start", "stop"}),
    ],
)
def test_bash_completes_commands_options_states_and_ids(
    env: dict[str, str], line: str, expected: set[str]
) -> None:
    assert offered(env, f"queuectl {line}") == expected


@pytest.mark.parametrize(
    ("verb", "states"),
    [
        ("retry", {"failed", "dead", "cancelled"}),
        ("retry --again", {"failed", "dead", "cancelled", "completed"}),
        ("cancel", {"pending", "processing", "failed"}),
        ("delete", set(STATES) - {"processing"}),
        ("purge", {"completed", "dead", "cancelled"}),
        ("dlq show", {"dead"}),
        ("dlq retry", {"dead"}),
        ("dlq purge", {"dead"}),
        ("wait", set(STATES)),
    ],
)
def test_bash_offers_the_jobs_that_the_verb_can_act_on(
    env: dict[str, str], verb: str, states: set[str]
) -> None:
    found = {word for word in offered(env, f"queuectl {verb} ") if len(word) == 1}
    assert found == {JOBS[state] for state in states}
    if verb not in ("wait", "dlq show"):
        tried = subprocess.run(
            [sys.executable, "-m", "queuectl", *verb.split(), "--dry-run", "--json", *ONES],
            env=env,
            capture_output=True,
            check=False,
        )
        changes = json.loads(tried.stdout)
        assert found == {change["id"] for change in changes if change["result"] == "done"}


@pytest.mark.parametrize(
    ("typed", "becomes"),
    [
        ("queuectl show --db o.db l", "queuectl show --db o.db late "),
        ("queuectl --db=o.db show l", "queuectl --db=o.db show late "),
        ("queuectl --db ~/o.db show l", "queuectl --db ~/o.db show late "),
        ("queuectl --db 'o o.db' show l", "queuectl --db 'o o.db' show late "),
        ("queuectl --db o\\ o.db show l", "queuectl --db o\\ o.db show late "),
        ("queuectl --db $(touch no) show l", "queuectl --db $(touch no) show l"),
        ("queuectl --db new.db show l", "queuectl --db new.db show l"),
        ("queuectl show --db=no", "queuectl show --db=notes "),
        ("queuectl show n", "queuectl show ns:"),
        ("queuectl show ns:", "queuectl show ns:"),
        ("queuectl show ns:o", "queuectl show ns:one "),
        ("true;  queuectl wait d ns:t", "true;  queuectl wait d ns:two "),
        ("queuectl list --state=de", "queuectl list --state=dead "),
        ("queuectl list --state=dead,comp", "queuectl list --state=dead,completed "),
        ("queuectl list --state dead,comp", "queuectl list --state dead,completed "),
        ("queuectl enqueue --after=ns:o", "queuectl enqueue --after=ns:one "),
        ("queuectl run --queue=ni", "queuectl run --queue=night "),
        ("queuectl list --tag lr=", "queuectl list --tag lr=0.1 "),
    ],
)
def test_a_line_in_bash_becomes_at_tab(
    env: dict[str, str], folder: Path, typed: str, becomes: str
) -> None:
    assert completed(env, typed) == becomes
    assert not (folder / "new.db").exists()
    assert not (folder / "no").exists()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("show run-0.3-1", {"run-0.3-1"}),
        ("show run-", {"run-0.3-1", "run-0.3-2"}),
        ("cancel run-0.3-1", {"run-0.3-1"}),
        ("retry run-0.3-", {"run-0.3-2"}),
        ("show j", {"j3", "j203"}),
        ("show j20", {"j200", "j203"}),
        ("show --db=a.db run-0.3-2", {"run-0.3-2"}),
        ("enqueue --after=run-0.3-2", {"run-0.3-2"}),
        ("show nothing", set()),
    ],
)
def test_ids_older_than_the_newest_are_found_by_how_they_begin(
    env: dict[str, str], tmp_path: Path, line: str, expected: set[str]
) -> None:
    old = str(tmp_path / "old.db")
    with open_store(old) as store:
        store.enqueue([a_job("run-0.3-1"), a_job("run-0.3-2"), *[a_job()] * 201], 0)
        store.cancel(["run-0.3-2"], 0)
        (tmp_path / "a.db").symlink_to(old)
    line = line.replace("a.db", str(tmp_path / "a.db"))
    found = offered(env | {"QUEUECTL_DB": old}, f"queuectl {line}")
    assert found & {"run-0.3-1", "run-0.3-2", "j3", "j203", "j200"} >= expected
    assert all(word.startswith(line.rpartition(" ")[2].rpartition("=")[2]) for word in found)
