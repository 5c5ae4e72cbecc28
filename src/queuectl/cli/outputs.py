"""The kept output of runs, printed: each stream to its own file descriptor.

To a terminal it goes cleaned, elsewhere byte for byte. What was dropped is said on stderr.
"""

from __future__ import annotations

import sys

from queuectl.cli.context import note
from queuectl.model import STDERR, STDOUT
from queuectl.records import Record
from queuectl.text import OutputCleaner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

    from queuectl.model import Chunk
    from queuectl.store.base import Store

STREAMS = {STDOUT: "stdout", STDERR: "stderr"}


class Piece(Record):
    """Bytes of a stream, and how many were dropped right before them."""

    stream: int
    dropped: int
    data: bytes


class Reader:
    """Reads the output of one run as it comes; of all streams, or of those named."""

    def __init__(
        self, store: Store, token: int, streams: Sequence[int] = tuple(STREAMS)
    ) -> None:
        self._store = store
        self._token = token
        self._ends = dict.fromkeys(streams, 0)
        self._last = 0

    def read(self) -> list[Piece]:
        """What is new since the last call."""
        # the last chunk seen may have grown
        chunks = self._store.read_output(self._token, self._last)
        if chunks:
            self._last = chunks[-1].number
        pieces = [self._unread(chunk) for chunk in chunks if chunk.stream in self._ends]
        return [piece for piece in pieces if piece.data or piece.dropped]

    def _unread(self, chunk: Chunk) -> Piece:
        end = self._ends[chunk.stream]
        self._ends[chunk.stream] = max(end, chunk.offset + len(chunk.data))
        dropped = max(0, chunk.offset - end)
        return Piece(chunk.stream, dropped, chunk.data[max(0, end - chunk.offset) :])


class Printer:
    """Prints the pieces of one run. At its end, call `end`."""

    def __init__(self) -> None:
        self._pens = {STDOUT: _Pen(sys.stdout), STDERR: _Pen(sys.stderr)}

    def print(self, pieces: Sequence[Piece]) -> None:
        """Print, and say where bytes were dropped."""
        for piece in pieces:
            if piece.dropped:
                self._begin_line()
                note(
                    f"queuectl: {piece.dropped:,} bytes of {STREAMS[piece.stream]} dropped here"
                )
            self._pens[piece.stream].write(piece.data)

    def end(self) -> None:
        """Print what still waits for the rest of its character."""
        for pen in self._pens.values():
            pen.write(b"", final=True)
        self._begin_line()

    def _begin_line(self) -> None:
        for pen in self._pens.values():
            pen.begin_line()


class _Pen:
    """A file descriptor to write to: cleaned for a terminal, raw elsewhere."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._cleaner = OutputCleaner() if stream.isatty() else None

    def write(self, data: bytes, *, final: bool = False) -> None:
        if self._cleaner is not None:
            self._stream.write(self._cleaner.feed(data, final=final))
        else:
            self._stream.buffer.write(data)
        self._stream.flush()

    def begin_line(self) -> None:
        """On a terminal, what comes next is not glued to an unfinished line."""
        if self._cleaner is not None and not self._cleaner.at_line_start:
            self._stream.write("\n")
            self._stream.flush()
            self._cleaner.at_line_start = True


def last_lines(pieces: Sequence[Piece], lines: int) -> list[Piece]:
    """The last so many lines, both streams counted together in order of arrival."""
    kept: list[Piece] = []
    for piece in reversed(pieces if lines > 0 else ()):
        # the newline that ends the very last line begins no further one
        place = len(piece.data) - (not kept and piece.data.endswith(b"\n"))
        while lines and place >= 0:
            place = piece.data.rfind(b"\n", 0, place)
            lines -= place >= 0
        kept.append(piece if place < 0 else Piece(piece.stream, 0, piece.data[place + 1 :]))
        if not lines:
            break
    return [piece for piece in reversed(kept) if piece.data or piece.dropped]
