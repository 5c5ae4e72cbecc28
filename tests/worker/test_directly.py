"""Lines started without a shell: only where a shell would have done the very same."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from queuectl.worker.directly import plain_words
from queuectl.worker.process import CannotStartError, spawn

SHELLS = [path for name in ("sh", "dash", "bash") if (path := shutil.which(name))]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("ls", ["ls"]),
        ("ls -la /tmp", ["ls", "-la", "/tmp"]),
        ("  ls \t -l  ", ["ls", "-l"]),
        ("/usr/bin/env python3 -V", ["/usr/bin/env", "python3", "-V"]),
        ("./run.sh --level=3 a=b", ["./run.sh", "--level=3", "a=b"]),
        ("rsync user@host:/a,b/c+d 50%", ["rsync", "user@host:/a,b/c+d", "50%"]),
        ("python3 backup.py", ["python3", "backup.py"]),
        ("echoes", ["echoes"]),
        ("/bin/echo hi", ["/bin/echo", "hi"]),
    ],
)
def test_a_plain_line_needs_no_shell(line: str, words: list[str]) -> None:
    assert plain_words(line) == words


@pytest.mark.parametrize(
    "line",
    [
        "", " ", "\t", "A=1 env", "A=1", "ls *", "ls ?", "ls [a]", "ls ~", "ls ~bob/x",
        "ls {a,b}", "ls $HOME", "ls `pwd`", "ls 'a'", 'ls "a"', "ls \\a", "ls # why", "# why",
        "ls > f", "ls < f", "ls | wc", "ls & ", "ls; ls", "ls && ls", "(ls)", "! ls",
        "ls\nls", "ls\r", "ls\x0b-l", "ls \u00a0x", "caf\u00e9", "ls \u2028 x", "ls a\\\nb",
        "ls ^a", "[ -d /tmp ]", "[[ a ]]", "{ ls",
    ],
)  # fmt: skip
def test_a_line_with_anything_special_goes_to_the_shell(line: str) -> None:
    assert plain_words(line) is None


@pytest.mark.parametrize(
    "line",
    ["cd /tmp", "exit 3", "true", "false", "echo hi", "printf x", "test -d /tmp", "kill 1",
     "exec ls", "ulimit -n", "umask", ". ./env", ": x", "wait", "time ls", "if", "export A=1",
     "command ls", "type ls", "source x", "trap", "set -e", "pwd", "read x"],
)  # fmt: skip
def test_what_the_shell_does_itself_goes_to_the_shell(line: str) -> None:
    assert plain_words(line) is None


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash here")
def test_every_builtin_and_keyword_of_bash_goes_to_the_shell() -> None:
    listed = subprocess.run(
        ["bash", "-c", "compgen -b; compgen -k"], capture_output=True, text=True, check=True
    )
    assert [name for name in listed.stdout.split() if plain_words(name) is not None] == []


@pytest.mark.skipif(not shutil.which("dash"), reason="no dash here")
def test_every_builtin_of_dash_goes_to_the_shell() -> None:
    names = sorted(
        {name.name for folder in ("/bin", "/usr/bin") for name in Path(folder).iterdir()}
    )
    plain = [name for name in names if plain_words(name) is not None]
    told = subprocess.run(
        ["dash", "-c", 'for n; do type "$n"; done', "dash", *plain],
        capture_output=True,
        text=True,
        check=False,
    )
    assert [line for line in told.stdout.splitlines() if "builtin" in line] == []


# -- the same with a shell and without ---------------------------------------------------


def directly(line: str) -> tuple[int, bytes]:
    """Exit code and standard output of a line as a worker starts it."""
    read, write = os.pipe()
    null = os.open(os.devnull, os.O_RDWR)
    try:
        pid = spawn(line, os.environb, null, write, null)
    except CannotStartError as error:
        os.close(read)
        return error.exit_code, b""
    finally:
        os.close(write)
        os.close(null)
    with os.fdopen(read, "rb") as file:
        output = file.read()
    _pid, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), output


def by_shell(shell: str, line: str) -> tuple[int, bytes]:
    done = subprocess.run(
        [shell, "-c", line],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with programs of all kinds, and in it the tests below."""
    folder = tmp_path_factory.mktemp("programs")
    for name, text, mode in (
        ("script", "#!/bin/sh\necho script $# $*\nexit 4\n", 0o755),
        ("bare", "echo bare $# $*\nexit 5\n", 0o755),
        ("refused", "#!/bin/sh\n", 0o644),
        ("lost", "#!/no/such/interpreter\n", 0o755),
        ("empty", "", 0o755),
    ):
        path = folder / name
        path.write_text(text)
        path.chmod(mode)
    (folder / "dir").mkdir()
    return folder


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    "line",
    [
        "./script", "./script a  b", "./bare a b", "./refused", "./dir", "./empty", "./lost",
        "no-such-program", "./no-such", "dir/no-such", "seq 1 3", "expr 1 + 2",
        "ls -d / /tmp", "/bin/echo a=b c", "cat", "nice", "sh ./bare 1", "env -i",
        "expr 1 - 1", "stat -c%s script",
    ],
)  # fmt: skip
def test_a_plain_line_gives_what_the_shell_gives(
    line: str, shell: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert plain_words(line) is not None
    monkeypatch.chdir(folder)
    code, output = directly(line)
    assert (code, output) == by_shell(shell, line)


special = "abz09_@%+:,./-= \t" * 3 + "*?[]~$`'\"\\#;&|<>(){}!^\n\u00e9"


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.text(alphabet=special, max_size=12))
def test_any_line_that_is_taken_as_plain_means_to_the_shell_what_it_means_to_us(
    arguments: str,
) -> None:
    line = f"/bin/echo {arguments}"
    if plain_words(line) is None:
        return
    expected = directly(line)
    for shell in SHELLS:
        assert by_shell(shell, line) == expected


def test_the_path_that_counts_is_the_jobs(folder: Path) -> None:
    read, write = os.pipe()
    pid = spawn("script x", {b"PATH": b"/nowhere::" + bytes(folder)}, 0, write, write)
    os.close(write)
    with os.fdopen(read, "rb") as file:
        assert file.read() == b"script 1 x\n"
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 4
