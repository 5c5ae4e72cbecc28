"""`queuectl logs`."""

from __future__ import annotations

import subprocess

import pytest

from queuectl.cli.outputs import Piece, last_lines
from queuectl.clock import now_ms
from queuectl.model import STDERR, STDOUT, Chunk, OutputPart
from queuectl.worker.output import OutputBuffer

from .scene import DEADLINE, Scene, read_until

HOSTILE = b"\x1b]52;c;ZXZpbA==\x07\x1b[2J\x00\xc2\x9b31m\xff\xe2\x80\xae\rfine\n"


def raw(scene: Scene, *words: str) -> tuple[bytes, bytes]:
    """stdout and stderr of a command, byte for byte."""
    process = scene.start_command(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return process.communicate(timeout=DEADLINE)


def test_each_stream_goes_to_its_own(scene: Scene) -> None:
    claim = scene.start("j1")
    scene.end(claim, output=scene.output(claim, b"out\n", b"err\n"))
    said = scene.run("logs", "j1")
    assert (said.out, said.err) == ("out\n", "err\n")
    assert scene.run("logs", "j1", "--stream", "stdout").err == ""
    assert scene.run("logs", "j1", "--stream", "stderr").out == ""


def test_what_is_no_terminal_gets_the_bytes_as_they_were(scene: Scene) -> None:
    claim = scene.start("j1")
    scene.end(claim, output=scene.output(claim, HOSTILE + b"\x80 no newline", HOSTILE))
    assert raw(scene, "logs", "j1") == (HOSTILE + b"\x80 no newline", HOSTILE)


def test_a_terminal_gets_no_escape_codes(scene: Scene) -> None:
    claim = scene.start("j1")
    scene.end(claim, output=scene.output(claim, HOSTILE, b"\x1b[31mred\x1b[0m\ttab\n"))
    with scene.on_terminal("logs", "j1") as terminal:
        assert terminal.finish() == "fine\r\nred\ttab\r\n"


def test_ten_megabytes_on_one_line_are_shown_without_delay(scene: Scene) -> None:
    claim = scene.start("j1")
    line = b"\x1b]0;x\x9d\xc2\x9d" + b"x" * 10_000_000
    scene.end(claim, output=scene.output(claim, line))
    assert raw(scene, "logs", "j1")[0] == line
    with scene.on_terminal("logs", "j1", "-n", "1") as terminal:
        shown = terminal.finish()
    assert len(shown) > 10_000_000
    assert not set(shown) & {"\x1b", "\x9d"}
    assert scene.run("show", "j1").code == 0


def test_what_was_dropped_is_said_where_it_is_missing(scene: Scene) -> None:
    claim = scene.start("j1")
    chunks = [Chunk(0, STDOUT, 0, b"first\n"), Chunk(1, STDOUT, 5_006, b"last\n")]
    scene.end(claim, output=OutputPart(claim.token, chunks))
    said = scene.run("logs", "j1")
    assert said.out == "first\nlast\n"
    assert said.err == "queuectl: 5,000 bytes of stdout dropped here\n"
    shape = scene.run("logs", "j1", "--json").json
    assert shape["dropped"] == {"stdout": 5_000, "stderr": 0}


@pytest.mark.parametrize("words", [(), ("-n", "5")])
def test_of_output_that_is_not_kept_it_says_how_much_there_was(
    scene: Scene, words: tuple[str, ...]
) -> None:
    claim = scene.start("j1")
    buffer = OutputBuffer(claim.token, 0)
    buffer.take(STDOUT, b"hello\n")
    scene.end(claim, output=buffer.changes())
    said = scene.run("logs", "j1", *words)
    assert (said.out, said.err) == ("", "queuectl: 6 bytes of stdout dropped here\n")


def test_the_last_lines_alone_can_be_asked_for(scene: Scene) -> None:
    claim = scene.start("j1")
    scene.end(claim, output=scene.output(claim, b"1\n2\n3\n"))
    assert scene.run("logs", "j1", "-n", "2").out == "2\n3\n"
    assert scene.run("logs", "j1", "-n2").out == "2\n3\n"
    assert scene.run("logs", "j1", "-n", "9").out == "1\n2\n3\n"
    assert scene.run("logs", "j1", "-n", "0").out == ""


def test_last_lines_count_both_streams_in_order_of_arrival() -> None:
    pieces = [Piece(STDOUT, 0, b"1\n2\n"), Piece(STDERR, 7, b"3\n"), Piece(STDOUT, 0, b"4")]
    assert last_lines(pieces, 1) == [Piece(STDOUT, 0, b"4")]
    assert last_lines(pieces, 2) == pieces[1:]
    assert last_lines(pieces, 3) == [Piece(STDOUT, 0, b"2\n"), *pieces[1:]]
    assert last_lines(pieces, 4) == last_lines(pieces, 99) == pieces
    assert last_lines([], 3) == []


def test_an_earlier_run_can_be_asked_for(scene: Scene) -> None:
    first = scene.start("j1", base=0)
    scene.end(first, "failed", exit_code=1, output=scene.output(first, b"one\n"))
    second = scene.claim("j1")
    scene.end(second, output=scene.output(second, b"two\n"))
    assert scene.run("logs", "j1").out == "two\n"
    assert scene.run("logs", "j1", "--attempt", "1").out == "one\n"
    assert scene.run("logs", "j1", "--attempt", "1", "--json").json["stdout"] == "one\n"
    missing = scene.run("logs", "j1", "--attempt", "3")
    assert missing.code == 3
    assert "j1 has no run 3" in missing.err


def test_a_job_that_has_not_run_has_no_output(scene: Scene) -> None:
    scene.add("j1")
    said = scene.run("logs", "j1")
    assert (said.code, said.out) == (0, "")
    assert said.err == "j1 is pending and has not run yet\n"


def test_follow_shows_output_while_the_job_runs_and_ends_with_it(scene: Scene) -> None:
    claim = scene.start("j1")
    scene.say(claim, b"first\n")
    with scene.start_command("logs", "j1", "-f", stdout=subprocess.PIPE) as process:
        read_until(process.stdout, b"first\n")
        scene.say(claim, b"first\nsecond\n")
        read_until(process.stdout, b"second\n")
        scene.end(claim, output=scene.output(claim, b"first\nsecond\nthird\n"))
        assert process.stdout is not None
        assert process.stdout.read() == b"third\n"
        assert process.wait(DEADLINE) == 0


def test_follow_waits_for_a_job_that_has_not_started(scene: Scene) -> None:
    scene.add("j1")
    assert scene.worker
    with scene.start_command("logs", "j1", "-f", stdout=subprocess.PIPE) as process:
        claim = scene.claim("j1")
        scene.say(claim, b"here\n")
        read_until(process.stdout, b"here\n")
        scene.end(claim, output=scene.output(claim, b"here\n"))
        assert process.wait(DEADLINE) == 0


def test_follow_goes_on_to_the_next_run(scene: Scene) -> None:
    first = scene.start("j1", base=0)
    scene.say(first, b"one\n")
    with scene.start_command("logs", "j1", "-f", stdout=subprocess.PIPE) as process:
        read_until(process.stdout, b"one\n")
        scene.end(first, "failed", exit_code=1, output=scene.output(first, b"one\n"))
        second = scene.claim("j1")
        scene.end(second, output=scene.output(second, b"two\n"))
        assert process.stdout is not None
        assert process.stdout.read() == b"two\n"
        assert process.wait(DEADLINE) == 0


def test_follow_with_n_begins_with_the_last_lines(scene: Scene) -> None:
    claim = scene.start("j1")
    scene.say(claim, b"1\n2\n3\n")
    with scene.start_command("logs", "j1", "-f", "-n", "1", stdout=subprocess.PIPE) as process:
        assert read_until(process.stdout, b"3\n") == b"3\n"
        scene.end(claim, output=scene.output(claim, b"1\n2\n3\n4\n5\n"))
        assert process.stdout is not None
        assert process.stdout.read() == b"4\n5\n"


def test_follow_says_at_once_that_no_worker_serves_the_queue(scene: Scene) -> None:
    scene.add("j1", queue="gpu", run_at=now_ms() - 1)
    process = scene.start_command(
        "logs", "j1", "-f", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with process:
        read_until(process.stderr, b"queuectl worker start --detach --queue gpu\n")
        process.terminate()


def test_follow_of_an_ended_job_prints_its_last_run_and_ends(scene: Scene) -> None:
    claim = scene.start("j1", max_retries=1)
    scene.end(claim, "failed", exit_code=1, output=scene.output(claim, b"bye\n"))
    said = scene.run("logs", "j1", "-f")
    assert (said.code, said.out, said.err) == (0, "bye\n", "")


def test_follow_of_a_revived_job_leaves_its_earlier_life_out(scene: Scene) -> None:
    old = scene.start("j1", max_retries=1)
    scene.end(old, "failed", exit_code=1, output=scene.output(old, b"old\n"))
    scene.store.retry(["j1"], now_ms())
    with scene.start_command("logs", "j1", "-f", stdout=subprocess.PIPE) as process:
        new = scene.claim("j1")
        scene.end(new, output=scene.output(new, b"new\n"))
        assert process.stdout is not None
        assert process.stdout.read() == b"new\n"


def test_options_that_contradict_are_refused(scene: Scene) -> None:
    scene.add("j1")
    assert scene.run("logs", "j1", "-f", "--json").code == 2
    assert scene.run("logs", "j1", "-f", "--attempt", "1").code == 2
    assert scene.run("logs", "j1", "-n", "-3").code == 2
