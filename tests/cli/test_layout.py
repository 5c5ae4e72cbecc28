"""What holds of every screen: its width, its colours, and no control code of a job."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import termios
import unicodedata

import pytest

from queuectl.cli.screens.job import render_job
from queuectl.cli.screens.jobs import render_dead, render_jobs
from queuectl.cli.screens.layout import Look, fold, span
from queuectl.cli.screens.metrics import render_metrics
from queuectl.cli.screens.status import render_status
from queuectl.cli.screens.tables import render_config, render_queues, render_workers
from queuectl.config import Config
from queuectl.model import Event, Metrics
from queuectl.text import display_width

from .records import (
    NARROW,
    NOW,
    PIPE,
    WIDE,
    a_dead_job,
    a_job,
    a_queue,
    a_run,
    a_worker,
    some_stats,
)

HOSTILE = (
    "a\x1b[2J\x1b]52;c;ZXZp\x07\x00\u202eb\x9b31m\r\ngone\udc80\u2029\u2066\ufeff" + "値" * 60
)


def every_screen(look: Look, text: str) -> list[str]:
    """All screens with that text wherever a job or a person could have put it."""
    job = a_dead_job(
        command=text, error=text, tags=(text,), env={"A": text}, cwd=text, created_by=text
    )
    running = a_job(state="processing", command=("echo", text), started_at=NOW - 5_000)
    stats = some_stats(a_queue(pending=1, dead=1), a_queue("gpu", processing=1, limit=2))
    workers = [a_worker(host=text), a_worker(alive=False)]
    event = Event(NOW, "j1", "failed", 1.5, text)
    metrics = Metrics({"enqueued": 3}, [1.0, 2.0], (NOW - 60_000, NOW), [event])
    return [
        *render_status(stats, workers, [running], [job], look, NOW),
        *render_jobs([job, running, a_job()], look, NOW),
        *render_dead([job], look, NOW),
        *render_job(job, [a_run(error=text)], ("stderr", [text]), look, NOW, reveal=True),
        *render_metrics(metrics, look, NOW),
        *render_workers(workers, look, NOW),
        *render_queues(stats.queues, look),
        *render_config(Config(), look),
    ]


@pytest.mark.parametrize("look", [WIDE, NARROW, PIPE, Look(80, colour=True)])
def test_no_screen_lets_a_control_code_of_a_job_through(look: Look) -> None:
    own = re.compile(r"\x1b\[\d+m") if look.colour else re.compile("(?!)")
    for line in every_screen(look, HOSTILE):
        plain = own.sub("", line)
        bad = [c for c in plain if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
        assert not bad, line


@pytest.mark.parametrize("text", ["true", "word " * 100, "値" * 100, HOSTILE])
@pytest.mark.parametrize("look", [WIDE, NARROW])
def test_no_line_is_wider_than_the_terminal(look: Look, text: str) -> None:
    for line in every_screen(look, text):
        assert look.width is not None
        assert display_width(line) <= look.width, line


@pytest.mark.parametrize("text", ["true", "word " * 100, "値" * 100, HOSTILE])
@pytest.mark.parametrize("width", [26, 30])
def test_what_is_looked_at_most_fits_a_narrow_pane(width: int, text: str) -> None:
    look = Look(width, colour=True)
    running = a_job(state="processing", command=text, started_at=NOW - 5_000)
    dead = a_dead_job(command=text, error=text)
    stats = some_stats(a_queue(pending=1), a_queue("gpu", processing=1, limit=2))
    for line in [
        *render_status(stats, [a_worker(host=text)], [running], [dead], look, NOW),
        *render_jobs([running, dead], look, NOW),
        *render_dead([dead], look, NOW),
    ]:
        assert display_width(re.sub(r"\x1b\[\d+m", "", line)) <= width, line


def test_a_terminal_is_taken_to_be_as_narrow_as_it_is() -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(ours), os.fdopen(theirs, "w") as terminal:
        for columns, width in ((30, 30), (5, 20), (0, 80)):
            fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
            assert Look.of(terminal).width == width


def test_colour_is_never_the_only_sign() -> None:
    coloured = every_screen(Look(80, colour=True), "true")
    assert [re.sub(r"\x1b\[\d+m", "", line) for line in coloured] == every_screen(WIDE, "true")


def test_colour_goes_only_to_a_terminal_that_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    ours, theirs = pty.openpty()
    with os.fdopen(ours), os.fdopen(theirs, "w") as terminal, open(os.devnull, "w") as file:
        assert Look.of(terminal).colour
        assert (Look.of(file).width, Look.of(file).colour) == (None, False)
        monkeypatch.setenv("NO_COLOR", "1")
        assert not Look.of(terminal).colour
        monkeypatch.delenv("NO_COLOR")
        monkeypatch.setenv("TERM", "dumb")
        assert not Look.of(terminal).colour


def test_folded_text_loses_nothing_but_blanks() -> None:
    for text in ("word " * 30, "x" * 100, "値" * 50, "ab " + "y" * 70 + " c", ""):
        for width in (10, 21):
            lines = fold(text, width)
            assert "".join(lines).replace(" ", "") == text.replace(" ", "")
            assert all(display_width(line) <= width for line in lines)


def test_spans_read_at_a_glance() -> None:
    assert [span(s) for s in (0.4, 59, 61, 7_260, 200_000)] == [
        "0s",
        "59s",
        "1m",
        "2h01m",
        "2d7h",
    ]
