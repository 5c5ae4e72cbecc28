"""What every screen is made of: a look (width, colour), tables, times and lengths.

On a terminal, lines are cut to its width and times are short and local. Piped, nothing is
cut, columns stay the same and times are ISO 8601, for scripts.
"""

from __future__ import annotations

import os
import time

from queuectl.instants import iso
from queuectl.text import cut, display_width, fitting, pad

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import IO

BOLD, DIM, RED, GREEN, YELLOW, CYAN = "1", "2", "31", "32", "33", "36"
STATE_STYLE = {
    "processing": CYAN,
    "completed": GREEN,
    "failed": YELLOW,
    "dead": RED,
    "cancelled": DIM,
}
GAP = "  "
LABEL = 9
_NARROWEST = 20


class Look:
    """Where lines go: `width` columns, None for a pipe or file; `colour` or none."""

    def __init__(self, width: int | None = None, *, colour: bool = False) -> None:
        self.width = width
        self.colour = colour

    @classmethod
    def of(cls, stream: IO[str]) -> Look:
        """The look of an open stream, by its terminal, NO_COLOR and TERM."""
        try:
            columns = os.get_terminal_size(stream.fileno()).columns if stream.isatty() else None
        except (OSError, ValueError):  # closed, or no file at all
            columns = None
        if columns is None:
            return cls()
        plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
        return cls(max(columns, _NARROWEST) if columns else 80, colour=not plain)

    def paint(self, text: str, style: str) -> str:
        """The text in a style, if there is colour here."""
        return f"\x1b[{style}m{text}\x1b[0m" if self.colour and style and text else text

    def fit(self, text: str, used: int = 0) -> str:
        """Safe text cut to what is left of the line after `used` columns."""
        return text if self.width is None else cut(text, self.width - used)


class Styled(str):
    """A cell with a style of its own."""

    __slots__ = ("style",)
    style: str

    def __new__(cls, text: str, style: str) -> Styled:
        cell = super().__new__(cls, text)
        cell.style = style
        return cell


class Table:
    """Lines of safe text in columns; the last one takes what is left of the width. Rows may
    come in parts: a column is as wide as its widest cell so far."""

    def __init__(self, look: Look, header: Sequence[str], right: Iterable[str] = ()) -> None:
        self._look = look
        self.header = header
        self._to_right = [name in set(right) for name in header]
        self._widths = [0] * len(header)

    def lines(self, rows: Sequence[Sequence[str]]) -> list[str]:
        """More rows; the header is one, too."""
        look, last = self._look, len(self.header) - 1
        widths = self._widths
        for i in range(last):
            widths[i] = max([widths[i], *[display_width(row[i]) for row in rows]])
        lines = []
        for row in rows:
            used = 0
            cells = []
            for i, cell in enumerate(row):
                if i < last:
                    text = pad(cell, widths[i], right=self._to_right[i])
                else:
                    text = look.fit(cell, used)
                used += max(widths[i], display_width(cell)) + len(GAP)
                style = DIM if row is self.header else getattr(cell, "style", "")
                cells.append(look.paint(text, style))
            lines.append(GAP.join(cells).rstrip())
        return lines


def table(
    look: Look, header: Sequence[str], rows: Sequence[Sequence[str]], right: Iterable[str] = ()
) -> list[str]:
    """Lines of a table that is there as a whole."""
    return Table(look, header, right).lines([header, *rows])


def flow(look: Look, label: str, cells: Sequence[str], most: int = 4) -> list[str]:
    """A label, then cells in columns: as many as fit, `most` at most."""
    room = (look.width or 80) - LABEL
    for across in range(most, 0, -1):
        columns = [cells[start::across] for start in range(min(across, len(cells)))]
        widths = [max(map(display_width, column)) for column in columns]
        if sum(widths) + len(GAP) * (len(widths) - 1) <= room:
            break
    lines = []
    for start in range(0, len(cells), across):
        row = cells[start : start + across]
        texts = [pad(cell, width) for cell, width in zip(row[:-1], widths, strict=False)]
        texts.append(look.fit(row[-1], LABEL) if across == 1 else row[-1])
        parts = [
            look.paint(text, getattr(cell, "style", ""))
            for cell, text in zip(row, texts, strict=True)
        ]
        lines.append(labelled(look, "" if start else label, GAP.join(parts)))
    return lines


def labelled(look: Look, label: str, text: str) -> str:
    """A line of a screen whose parts have names at the left."""
    return look.paint(f"{label:<{LABEL}}", BOLD if label else "") + text


def fold(text: str, width: int | None) -> list[str]:
    """Safe text in lines of the width, broken between words where there are any."""
    if width is None or display_width(text) <= width:
        return [text]
    lines = []
    rest = text
    while display_width(rest) > width:
        most = max(1, fitting(rest, width))
        space = rest.rfind(" ", 1, most + 1)
        end = space if space > most // 2 else most
        lines.append(rest[:end].rstrip())
        rest = rest[end:].lstrip()
    return [*lines, rest] if rest else lines


def moment(look: Look, at: int | None, now: int, *, seconds: bool = False) -> str:
    """A time: local and short on a terminal (`02:58`, `22 Nov 02:58`), ISO elsewhere."""
    if at is None:
        return "-"
    if look.width is None:
        return iso(at)
    then, today = time.localtime(at / 1000), time.localtime(now / 1000)
    hour = "%H:%M:%S" if seconds else "%H:%M"
    if then[:3] == today[:3] and not seconds:
        return time.strftime(hour, then)
    year = "" if then.tm_year == today.tm_year else "%Y "
    return time.strftime(f"{then.tm_mday} %b {year}{hour}", then)


def span(seconds: float) -> str:
    """A length in one glance: `12s`, `41m`, `3h20m`, `2d4h`."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3_600:
        return f"{whole // 60}m"
    if whole < 48 * 3_600:
        return f"{whole // 3_600}h{whole % 3_600 // 60:02d}m"
    return f"{whole // 86_400}d{whole % 86_400 // 3_600}h"


def count(n: int, one: str, many: str | None = None) -> str:
    """`1 worker`, `3 workers`, `12,000 jobs`."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"
