"""Text from jobs, made safe before a terminal shows it: no control code gets through.

Commands, tags, errors and output are written by whoever wrote the job. Shown raw they
could move the cursor, rewrite the screen, fill the clipboard or turn the reading order.
"""

from __future__ import annotations

import codecs
import re

ELLIPSIS = "…"

# Patterns stay text until one is needed: compiling them all takes a millisecond of every
# start, and `re` keeps what it has compiled.

# Cc, line separators, and what is invisible and changes how its neighbours read: bidi
# controls, zero-width space, BOM, annotation marks, tag characters, lone surrogates.
_UNSAFE = (
    "\x00-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e0fff"
)
_ANY_UNSAFE = f"[{_UNSAFE}]"
_UNSAFE_IN_OUTPUT = f"(?![\n\t])[{_UNSAFE}]"
_SPACES = str.maketrans("\n\t", "  ", "\r")

# ECMA-48: CSI … final; OSC, DCS, SOS, PM, APC … ST (or BEL); ESC with intermediates. A
# string's body holds no introducer: hostile text must not make the search quadratic.
_CSI = r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
_STRING = r"(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x90\x98\x9c-\x9f]{0,4096}"
_ESCAPE = r"\x1b[ -/]*[0-OQ-WYZ\\`-~]"
_COLOUR = r"(?:\x1b\[|\x9b)[0-9;:]*m"
_SEQUENCE = rf"{_CSI}|{_STRING}(?:\x07|\x9c|\x1b\\)|{_ESCAPE}"
_UNFINISHED = rf"(?:(?:\x1b\[|\x9b)[0-?]*[ -/]*|{_STRING}\x1b?|\x1b[ -/]*)\Z"
_LONGEST_SEQUENCE = 4096


def visible(text: str) -> str:
    r"""The text with every unsafe character spelled out: `\x1b`, `\u202e`, `\n`."""
    if text.isprintable():
        return text
    return re.sub(_ANY_UNSAFE, _spell, text)


def one_line(text: str, width: int | None = None) -> str:
    """The text safe and on one line: blanks for line breaks and tabs, colours dropped,
    the rest as by `visible`; cut to `width` columns with an ellipsis."""
    rest = ""
    if width is not None and len(text) > 8 * width + 64:
        text, rest = text[: 8 * width + 64], ELLIPSIS
    if not (text.isprintable()):
        text = re.sub(
            _ANY_UNSAFE, _spell, re.sub(_COLOUR, "", text.strip("\r\n")).translate(_SPACES)
        )
    text += rest
    return text if width is None else cut(text, width)


def block(text: str) -> str:
    """The text safe with its line breaks and tabs kept, all escape sequences dropped."""
    return re.sub(_UNSAFE_IN_OUTPUT, _spell, re.sub(_SEQUENCE, "", text))


def json_safe(text: str) -> str:
    r"""JSON text with every unsafe character written as `\u009b`, as JSON allows."""
    return text if text.isprintable() else re.sub(_ANY_UNSAFE, _spell_json, text)


def display_width(text: str) -> int:
    """How many columns a terminal needs for safe text."""
    if text.isascii():
        return len(text)
    return sum(_columns_of(text))


def cut(text: str, width: int) -> str:
    """Safe text cut to `width` columns; an ellipsis stands for what is gone."""
    if display_width(text) <= width:
        return text
    if width < 1:
        return ""
    return text[: fitting(text, width - 1)].rstrip() + ELLIPSIS


def fitting(text: str, width: int) -> int:
    """How many characters of safe text, from its start, fit into `width` columns."""
    used = 0
    for index, columns in enumerate(_columns_of(text)):
        used += columns
        if used > width:
            return index
    return len(text)


def pad(text: str, width: int, *, right: bool = False) -> str:
    """Safe text filled with blanks to `width` columns, on its left if `right`."""
    blanks = " " * (width - display_width(text))
    return blanks + text if right else text + blanks


class OutputCleaner:
    """Turns a stream's bytes, piece by piece, into text that a terminal may show.

    Newlines and tabs stay, escape sequences go, other control characters are spelled
    out. A carriage return begins its line anew, as on a terminal: of a progress bar only
    the last state before each piece ends is kept.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self.at_line_start = True

    def feed(self, data: bytes, *, final: bool = False) -> str:
        """The safe text of the next piece; a sequence that is not complete waits."""
        text = self._held + self._decoder.decode(data, final)
        self._held = ""
        if not final:
            text = self._hold_back(text)
        text = re.sub(_SEQUENCE, "", text).replace("\r\n", "\n")
        if "\r" in text:
            began_anew = text.startswith("\r") and not self.at_line_start
            text = "\n" * began_anew + "\n".join(
                [line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")]
            )
        if text:
            self.at_line_start = text.endswith("\n")
        return re.sub(_UNSAFE_IN_OUTPUT, _spell, text)

    def _hold_back(self, text: str) -> str:
        # What may be half of a sequence, or of \r\n, lies at the end, and is short.
        tail = max(0, len(text) - _LONGEST_SEQUENCE)
        found = re.search(_UNFINISHED, text[tail:])
        start = tail + found.start() if found else len(text)
        if start == len(text) and text.endswith("\r"):
            start -= 1
        self._held = text[start:]
        return text[:start]


def _spell(found: re.Match[str]) -> str:
    character = found.group()
    if character in "\n\r\t":
        return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}[character]
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"  # a byte that was no UTF-8, as Python carries it
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _spell_json(found: re.Match[str]) -> str:
    code = ord(found.group())
    if code < 0x20:
        return found.group()  # JSON escapes these itself inside strings
    if code < 0x10000:
        return f"\\u{code:04x}"
    code -= 0x10000
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"


def _columns_of(text: str) -> list[int]:
    import unicodedata

    wide = unicodedata.east_asian_width
    unseen = ("Mn", "Me", "Cf")
    category = unicodedata.category
    return [
        1 if c < "\x7f" else 0 if category(c) in unseen else 2 if wide(c) in "WF" else 1
        for c in text
    ]
