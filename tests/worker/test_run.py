"""A run of a job: what it finds when it starts, what is said of its end, what is kept."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from queuectl.host import host_name
from queuectl.model import COMPLETED, FAILED, PROCESSING, STDERR, STDOUT

from .helpers import Shop, children_of, resident, state_of, wait_until


@pytest.fixture(scope="module")
def crew(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """One worker of four slots, started from an untidy place, for all tests here."""
    shop = Shop(tmp_path_factory.mktemp("crew"))
    spare = os.open("/dev/null", os.O_RDONLY)
    try:
        shop.start(
            concurrency=4,
            env={"FROM_WORKER": "yes", "LANG": "worker", "QUEUECTL_FAULT": "never:1"},
            pass_fds=(spare,),
            preexec_fn=_ignore_signals,
        )
        yield shop
    finally:
        os.close(spare)
        shop.close()


def _ignore_signals() -> None:
    for number in (signal.SIGPIPE, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})


def python(code: str) -> list[str]:
    return [sys.executable, "-S", "-c", code]


# -- how it ended ------------------------------------------------------------------------


def test_exit_code_zero_completes_and_both_streams_are_kept_apart(crew: Shop) -> None:
    job = crew.run("echo out; echo err >&2")
    assert (job.state, job.outcome, job.exit_code, job.error) == (COMPLETED, COMPLETED, 0, None)
    assert (crew.output(job.id), crew.errors(job.id)) == ("out\n", "err\n")


def test_any_other_exit_code_fails_with_the_last_line_of_stderr(crew: Shop) -> None:
    job = crew.run("echo first; echo sorry >&2; echo last; exit 7")
    assert (job.outcome, job.exit_code, job.signal) == (FAILED, 7, None)
    assert job.error == "exit 7: sorry"


def test_without_stderr_the_error_is_the_last_line_of_stdout(crew: Shop) -> None:
    assert crew.run("echo what happened; exit 1").error == "exit 1: what happened"
    assert crew.run("exit 3").error == "exit 3"


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV", "SIGTERM", "SIGUSR2"])
def test_death_by_signal_is_named_and_has_no_exit_code(crew: Shop, name: str) -> None:
    job = crew.run(f"kill -{name[3:]} $$")
    assert (job.outcome, job.exit_code, job.signal) == (FAILED, None, name)
    assert job.error is not None
    assert job.error.startswith(f"killed by {name}")


def test_a_signal_without_a_name_is_told_by_number(crew: Shop) -> None:
    number = signal.SIGRTMIN + 3
    assert crew.run(f"kill -{int(number)} $$").signal == f"SIG{int(number)}"


@pytest.mark.parametrize(
    "command",
    ["no-such-program", "no-such-program | cat; exit 127", ["no-such-program", "x y"]],
)
def test_a_program_that_does_not_exist_is_127_and_named(crew: Shop, command: str) -> None:
    job = crew.run(command)
    assert (job.outcome, job.exit_code) == (FAILED, 127)
    assert job.error is not None
    assert "no-such-program" in job.error
    assert "no-such-program" in crew.errors(job.id)


@pytest.mark.parametrize("command", ["./text", "/tmp", ["./text", "a b"], "./text; exit $?"])
def test_what_cannot_be_executed_is_126(crew: Shop, command: str) -> None:
    (crew.folder / "text").write_text("hello")
    job = crew.run(command)
    assert (job.outcome, job.exit_code) == (FAILED, 126)
    assert job.error


def test_a_script_without_a_first_line_goes_to_sh(crew: Shop) -> None:
    script = crew.folder / "bare"
    script.write_text('echo "$#: $*"\n')
    script.chmod(0o755)
    for command in ("./bare a b", ["./bare", "a", "b"], [str(script), "a", "b"]):
        assert crew.output(crew.run(command).id) == "2: a b\n"


def test_a_list_is_run_word_by_word_without_a_shell(crew: Shop) -> None:
    job = crew.run(["printf", "[%s]", "a b", "$HOME", "*", "", "caf\u00e9"])
    assert crew.output(job.id) == "[a b][$HOME][*][][caf\u00e9]"


@pytest.mark.parametrize(
    "fields", [{"command": ["true", "x" * 200_000]}, {"env": {"BIG": "x" * 200_000}}]
)
def test_arguments_that_are_too_long_for_the_kernel_fail_the_run(
    crew: Shop, fields: dict[str, object]
) -> None:
    job = crew.run(**{"command": "true"} | fields)  # type: ignore[arg-type]
    assert (job.outcome, job.exit_code) == (FAILED, 126)
    assert job.error is not None
    assert "too long" in job.error.lower()


def test_a_program_that_is_being_written_fails_the_run_and_not_the_worker(crew: Shop) -> None:
    program = crew.folder / "busy"
    program.write_bytes(Path("/bin/true").read_bytes())
    program.chmod(0o755)
    with program.open("ab"):
        job = crew.run("./busy")
    assert job.outcome == FAILED
    assert job.error


# -- where it runs -----------------------------------------------------------------------


def test_a_run_begins_in_its_directory(crew: Shop) -> None:
    there = crew.folder / "some where"
    there.mkdir()
    assert crew.output(crew.run("pwd", cwd=str(there)).id) == f"{there}\n"
    assert crew.output(crew.run(["pwd"], cwd=str(there)).id) == f"{there}\n"


@pytest.mark.parametrize("command", ["true", "no-such-program"])
def test_a_worker_does_not_stay_in_the_directory_of_a_run(
    crew: Shop, tmp_path: Path, command: str
) -> None:
    crew.run(command, cwd=str(tmp_path), max_retries=1)
    assert os.readlink(f"/proc/{crew.worker().pid}/cwd") == "/"


@pytest.mark.parametrize("command", ["printenv PWD", ["printenv", "PWD"], "printenv PWD;"])
def test_pwd_is_that_directory_whether_a_shell_says_so_or_not(
    crew: Shop, command: str | list[str]
) -> None:
    there = crew.folder / "where it is"
    there.mkdir(exist_ok=True)
    assert crew.output(crew.run(command, cwd=str(there)).id) == f"{there}\n"
    home = os.path.expanduser("~")
    assert crew.output(crew.run(command, cwd="/no/such/place").id) == f"{home}\n"
    assert crew.run(["printenv", "OLDPWD"]).exit_code == 1
    job = crew.run(["printenv", "PWD"], env={"PWD": "/asked"})
    assert crew.output(job.id) == "/asked\n"


def test_if_its_directory_is_gone_a_run_begins_at_home_with_a_warning(crew: Shop) -> None:
    job = crew.run("pwd", cwd="/no/such/place")
    assert job.state == COMPLETED
    assert crew.output(job.id) == os.path.expanduser("~") + "\n"
    assert "/no/such/place" in crew.errors(job.id)


def test_if_a_directory_that_was_asked_for_is_gone_the_run_fails(crew: Shop) -> None:
    witness = crew.folder / "ran-anyway"
    job = crew.run(f"touch {witness}", cwd="/no/such/place", cwd_explicit=True)
    assert job.outcome == FAILED
    assert job.error is not None
    assert "/no/such/place" in job.error
    assert not witness.exists()


# -- its environment ---------------------------------------------------------------------


def variables(crew: Shop, **fields: object) -> dict[str, str]:
    """The environment that a run finds."""
    job = crew.run(python("import os, json; print(json.dumps(dict(os.environ)))"), **fields)
    import json

    found: dict[str, str] = json.loads(crew.output(job.id))
    return found


def test_a_run_has_the_workers_environment_below_its_own(crew: Shop) -> None:
    found = variables(crew, captured={"LANG": "captured", "PATH": "/usr/bin"})
    assert (found["FROM_WORKER"], found["LANG"]) == ("yes", "captured")
    assert found["PATH"] == "/usr/bin"
    found = variables(crew, captured={"LANG": "captured"}, env={"LANG": "asked", "X": "\u00e9"})
    assert (found["LANG"], found["X"]) == ("asked", "\u00e9")


def test_what_was_captured_on_another_host_is_left_out(crew: Shop) -> None:
    found = variables(
        crew, captured={"LANG": "captured"}, env={"X": "1"}, created_by="ann@elsewhere"
    )
    assert (found["LANG"], found["X"]) == ("worker", "1")
    found = variables(crew, captured={"LANG": "captured"}, created_by=f"a@b@{host_name()}")
    assert found["LANG"] == "captured"


def test_a_run_is_told_who_it_is(crew: Shop) -> None:
    crew.configure(backoff_max=1)
    id = crew.add(
        "env | grep ^QUEUECTL_ | sort; exit $((2 - QUEUECTL_ATTEMPT))",
        "who",
        queue="mail",
        base=0,
        env={"QUEUECTL_TOKEN": "false"},
    )
    crew.wait_for(id)
    second = crew.history(id)[1]
    told = dict(line.split("=", 1) for line in crew.output(id, attempt=2).splitlines())
    assert told.pop("QUEUECTL_HOME") == os.environ["QUEUECTL_HOME"]
    assert told.pop("QUEUECTL_RUNTIME_DIR") == os.environ["QUEUECTL_RUNTIME_DIR"]
    assert int(told.pop("QUEUECTL_SLOT")) in range(4)
    assert told == {
        "QUEUECTL_JOB_ID": "who",
        "QUEUECTL_ATTEMPT": "2",
        "QUEUECTL_TOKEN": str(second.token),
        "QUEUECTL_QUEUE": "mail",
        "QUEUECTL_DB": crew.store.url,
        "QUEUECTL_RUN": f"{crew.uid}.{second.token}",
    }


def test_programs_are_found_by_the_path_of_the_job(crew: Shop) -> None:
    tools = crew.folder / "tools"
    tools.mkdir()
    (tools / "greet").write_text("#!/bin/sh\necho hello $1\n")
    (tools / "greet").chmod(0o755)
    path = f"{tools}:/usr/bin:/bin"
    for command in ("greet you", ["greet", "you"], "greet you; true"):
        job = crew.run(command, env={"PATH": path})
        assert crew.output(job.id) == "hello you\n"
    assert crew.run("greet you").exit_code == 127
    job = crew.run("greet you", env={"PATH": "tools:/bin"})
    assert crew.output(job.id) == "hello you\n"


# -- its process -------------------------------------------------------------------------


def test_standard_input_is_empty(crew: Shop) -> None:
    job = crew.run("cat; readlink /proc/self/fd/0")
    assert crew.output(job.id) == "/dev/null\n"


def test_a_run_leads_a_session_of_its_own_without_a_terminal(crew: Shop) -> None:
    job = crew.run("cat /proc/self/stat; echo $$")
    stat, own = crew.output(job.id).splitlines()
    _state, _parent, group, session, terminal = stat[stat.rfind(")") + 2 :].split()[:5]
    assert (group, session, terminal) == (own, own, "0")


@pytest.mark.parametrize("command", ["cat /proc/self/status", "cat /proc/self/status; true"])
def test_a_run_finds_every_signal_at_its_default(crew: Shop, command: str) -> None:
    job = crew.run(command)
    status = dict(line.split(":\t", 1) for line in crew.output(job.id).splitlines())
    blocked, ignored, caught = (int(status[key], 16) for key in ("SigBlk", "SigIgn", "SigCgt"))
    ignored &= ~(0b11 << 31)  # 32 and 33 are glibc's own: its posix_spawn ignores them
    assert (blocked, ignored, caught) == (0, 0, 0)


def test_a_pipe_that_nobody_reads_ends_its_writer_as_in_any_shell(crew: Shop) -> None:
    job = crew.run("yes | head -n 1")
    assert (job.state, crew.output(job.id), crew.errors(job.id)) == (COMPLETED, "y\n", "")


def test_a_run_finds_no_open_file_but_its_three(crew: Shop) -> None:
    job = crew.run("for n in $(seq 0 99); do [ -e /proc/$$/fd/$n ] && echo $n; done; true")
    assert crew.output(job.id).split() == ["0", "1", "2"]


def test_runs_beside_each_other_do_not_hold_each_others_pipes(crew: Shop) -> None:
    long = crew.add("sleep 30")
    crew.wait_for(long, PROCESSING)
    found = crew.output(crew.run("ls -l /proc/self/fd | grep -c pipe:").id)
    crew.cancel(long)
    crew.wait_for(long)
    assert found == "2\n"


# -- what is kept ------------------------------------------------------------------------


def test_output_that_is_no_text_is_kept_byte_for_byte(crew: Shop) -> None:
    job = crew.run("printf '\\000\\377\\033[31m\\r\\n'")
    token = crew.history(job.id)[0].token
    (chunk,) = crew.store.read_output(token)
    assert chunk.data == b"\0\xff\033[31m\r\n"


def test_both_streams_keep_the_order_in_which_they_came(crew: Shop) -> None:
    job = crew.run("for i in 1 2 3; do echo o$i; sleep 0.05; echo e$i >&2; sleep 0.05; done")
    chunks = crew.store.read_output(crew.history(job.id)[0].token)
    assert [(c.stream, c.data) for c in chunks] == [
        piece
        for i in (b"1", b"2", b"3")
        for piece in ((STDOUT, b"o" + i + b"\n"), (STDERR, b"e" + i + b"\n"))
    ]


def test_of_much_output_the_first_and_last_half_of_the_limit_are_kept(crew: Shop) -> None:
    job = crew.run("seq 1 200000")
    printed = "".join(f"{n}\n" for n in range(1, 200_001)).encode()
    chunks = crew.store.read_output(crew.history(job.id)[0].token)
    half = 65536 // 2
    data = b"".join(chunk.data for chunk in chunks)
    assert data == printed[:half] + printed[-half:]
    last = chunks[-1]
    assert last.offset + len(last.data) == len(printed)


def test_output_can_be_read_while_the_run_goes_on(crew: Shop) -> None:
    id = crew.add("echo begun; sleep 30")
    wait_until(lambda: crew.history(id) and crew.output(id) == "begun\n")
    assert crew.state(id) == PROCESSING
    crew.cancel(id)
    crew.wait_for(id)
    assert crew.output(id) == "begun\n"


@pytest.mark.parametrize("stream", ["1", "2"])
def test_memory_does_not_grow_with_what_is_printed(crew: Shop, stream: str) -> None:
    crew.run("head -c 4000000 /dev/zero")
    worker = crew.worker().pid
    before = resident(worker)
    id = crew.add(f"head -c 300000000 /dev/zero >&{stream}", max_retries=1)
    most = 0

    def watched() -> bool:
        nonlocal most
        most = max(most, resident(worker))
        return crew.state(id) == COMPLETED

    wait_until(watched, 60)
    assert most - before < 6 << 20


def test_no_zombie_stays_of_runs_and_what_they_left_behind(crew: Shop) -> None:
    ids = crew.add_all([crew.job("(sleep 0.01 &) ; true & setsid true & exit 0")] * 8)
    for id in ids:
        crew.wait_for(id)
    worker = crew.worker().pid
    wait_until(lambda: children_of(worker) == [], what="for all children to be reaped")
    assert state_of(worker) in "SR"
