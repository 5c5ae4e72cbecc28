"""Nothing a job says reaches a terminal as a control code."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queuectl.text import OutputCleaner, block, cut, display_width, one_line, pad, visible

HOSTILE = {
    "colour": "\x1b[31mred\x1b[0m",
    "clear screen": "\x1b[2J\x1b[Hgone",
    "clipboard": "\x1b]52;c;ZXZpbA==\x07",
    "title": "\x1b]0;owned\x1b\\",
    "device string": "\x1bP1$r0m\x1b\\",
    "c1 csi": "\x9b31mred",
    "c1 osc": "\x9d52;c;ZXZpbA==\x9c",
    "bell and backspace": "a\x07\b\b\bb",
    "nul": "a\x00b",
    "delete": "a\x7fb",
    "right to left": "harm\u202eless\u2066x\u2069",
    "line separator": "one\u2028two\u2029three",
    "lone surrogate": "a\ud800b",
    "carried byte": "a\udc9bb",
    "tag characters": "a\U000e0041b",
    "nested": "\x1b\x1b[31m[31m",
    "unfinished": "end\x1b[3",
    "charset": "\x1b(0lqk",
}


def is_safe(text: str, allowed: str = "") -> bool:
    bad = ("Cc", "Cs", "Zl", "Zp")
    bidi = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    return all(
        c in allowed or (unicodedata.category(c) not in bad and c not in bidi) for c in text
    )


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_becomes_harmless(text: str) -> None:
    assert is_safe(visible(text))
    assert is_safe(one_line(text))
    assert is_safe(one_line(text, 12))
    assert is_safe(block(text), "\n\t")
    data = text.encode("utf-8", "surrogatepass")
    assert is_safe(OutputCleaner().feed(data, final=True), "\n\t")


@given(st.text())
def test_any_text_becomes_one_safe_line_of_the_width(text: str) -> None:
    assert is_safe(visible(text))
    line = one_line(text, 20)
    assert is_safe(line)
    assert display_width(line) <= 20


@given(st.lists(st.binary(max_size=12)))
def test_any_bytes_in_any_pieces_become_safe_output(pieces: list[bytes]) -> None:
    cleaner = OutputCleaner()
    shown = "".join(map(cleaner.feed, pieces)) + cleaner.feed(b"", final=True)
    assert is_safe(shown, "\n\t")


@given(
    st.lists(
        st.sampled_from([b"\x1b", b"[", b"]", b"0;x", b"\x07", b"m", b"\xc2", b"\x9b", b"a"])
    )
)
def test_escape_sequences_cut_anywhere_stay_harmless(pieces: list[bytes]) -> None:
    cleaner = OutputCleaner()
    shown = "".join(map(cleaner.feed, pieces)) + cleaner.feed(b"", final=True)
    assert is_safe(shown, "\n\t")


def test_plain_text_is_left_as_it_is() -> None:
    for text in ("python train.py --seed 12", "größe 値 👩‍💻 naïve"):
        assert visible(text) == one_line(text) == block(text) == text


def test_hidden_characters_are_spelled_out() -> None:
    assert visible("a\x1b[2J\n") == "a\\x1b[2J\\n"
    assert visible("a\u202eb") == "a\\u202eb"
    assert visible("a\udcffb") == "a\\xffb"


def test_one_line_joins_lines_and_drops_colour() -> None:
    assert one_line("for i in 1 2\ndo\techo\ndone\n") == "for i in 1 2 do echo done"
    assert one_line("\x1b[1;31mError:\x1b[0m no") == "Error: no"


def test_cut_counts_columns_not_characters() -> None:
    assert cut("abcdef", 6) == "abcdef"
    assert cut("abcdefg", 6) == "abcde…"
    assert cut("値値値値", 6) == "値値…"
    assert display_width("値e\u0301") == 3
    assert cut("abc", 0) == ""
    assert pad("値", 4) == "値  "
    assert pad("7", 3, right=True) == "  7"


def test_a_line_of_ten_megabytes_is_cut_at_once() -> None:
    began = time.thread_time()
    assert one_line("\x1b[31m" + "x" * 10_000_000, 40) == "x" * 39 + "…"
    assert time.thread_time() - began < 0.2


@pytest.mark.parametrize("piece", ["\x9d", "\x1b]", "\x1b[0", "\x9b", "\x1b ", "\r", "\x90x"])
def test_hostile_output_is_cleaned_in_linear_time(piece: str) -> None:
    began = time.thread_time()
    OutputCleaner().feed((piece * 300_000).encode(), final=True)
    assert time.thread_time() - began < 3


def test_output_keeps_lines_and_tabs_and_drops_sequences() -> None:
    assert OutputCleaner().feed(b"a\tb\n\x1b[1mc\x1b[0m\r\nd", final=True) == "a\tb\nc\nd"


def test_sequences_and_characters_split_between_pieces_are_understood() -> None:
    cleaner = OutputCleaner()
    pieces = [b"a\x1b", b"[3", b"1mb\xe5", b"\x80\xa4c\r", b"\nd\x1b]0;ti", b"tle\x07e"]
    assert "".join(map(cleaner.feed, pieces)) == "ab値c\nde"
    assert cleaner.feed(b"", final=True) == ""


def test_a_progress_bar_shows_its_last_state() -> None:
    cleaner = OutputCleaner()
    assert cleaner.feed(b"10%\r20%\r30%") == "30%"
    assert cleaner.feed(b"\r40%\r50%\r") == "\n50%"
    assert cleaner.feed(b"\ndone\n") == "\ndone\n"
    assert cleaner.feed(b"\rfresh\n") == "fresh\n"
