"""What is kept of a run's output: of each stream the first and the last half of a limit.

Memory is bounded by the limit, whatever the run prints.
"""

from __future__ import annotations

from collections import deque

from queuectl.model import STDERR, STDOUT, Chunk, OutputPart

_GROWS_TO = 4096
_LAST_LINE = 1024


class _Piece:
    """A chunk that may still grow at its end, or lose its beginning."""

    __slots__ = ("data", "number", "offset", "stored", "stream")

    def __init__(self, number: int, stream: int, offset: int, data: bytes) -> None:
        self.number = number
        self.stream = stream
        self.offset = offset
        self.data = data
        self.stored = False


class OutputBuffer:
    """The output of one run, on its way to the store.

    `take` bytes as they arrive; `changes` gives what the store must be told, once.
    """

    def __init__(self, token: int, limit: int) -> None:
        self._token = token
        self._head = limit - limit // 2
        self._tail = limit // 2
        self._next = 0
        self._last: _Piece | None = None
        self._ends = {STDOUT: b"", STDERR: b""}
        self._seen = {STDOUT: 0, STDERR: 0}
        self._tails: dict[int, deque[_Piece]] = {STDOUT: deque(), STDERR: deque()}
        self._tail_sizes = {STDOUT: 0, STDERR: 0}
        self._changed: dict[int, _Piece] = {}
        self._dropped: list[int] = []

    @property
    def changed(self) -> bool:
        """Whether the store has not been told all."""
        return bool(self._changed or self._dropped)

    def take(self, stream: int, data: bytes | memoryview) -> None:
        """Bytes that arrived on a stream."""
        offset = self._seen[stream]
        self._seen[stream] = offset + len(data)
        room = self._head - offset
        if room > 0:
            self._add(stream, offset, bytes(data[:room]), in_tail=False)
            data = data[room:]
            offset += room
        if len(data) and self._tail:
            skip = max(0, len(data) - self._tail)
            self._add(stream, offset + skip, bytes(data[skip:]), in_tail=True)
            self._trim(stream)

    def _add(self, stream: int, offset: int, data: bytes, *, in_tail: bool) -> None:
        end = self._ends[stream]
        self._ends[stream] = data if len(data) > _LAST_LINE else (end + data)[-_LAST_LINE:]
        last = self._last
        if (
            last is not None
            and last.stream == stream
            and last.offset + len(last.data) == offset
            and len(last.data) + len(data) <= _GROWS_TO
            and (last.offset >= self._head) == in_tail
        ):
            last.data += data
            self._changed[last.number] = last
        else:
            last = self._last = _Piece(self._next, stream, offset, data)
            self._next += 1
            self._changed[last.number] = last
            if in_tail:
                self._tails[stream].append(last)
        if in_tail:
            self._tail_sizes[stream] += len(data)

    def _trim(self, stream: int) -> None:
        pieces = self._tails[stream]
        excess = self._tail_sizes[stream] - self._tail
        self._tail_sizes[stream] -= max(0, excess)
        while excess > 0:
            oldest = pieces[0]
            if len(oldest.data) > excess:
                oldest.data = oldest.data[excess:]
                oldest.offset += excess
                self._changed[oldest.number] = oldest
                return
            excess -= len(oldest.data)
            pieces.popleft()
            self._changed.pop(oldest.number, None)
            if oldest.stored:
                self._dropped.append(oldest.number)

    def changes(self) -> OutputPart | None:
        """What is new since the last call; None if nothing."""
        if not self.changed:
            return None
        put = []
        for number in sorted(self._changed):
            piece = self._changed[number]
            piece.stored = True
            put.append(Chunk.make((number, piece.stream, piece.offset, piece.data)))
        drop, self._dropped = self._dropped, []
        self._changed = {}
        return OutputPart.make((self._token, put, drop))

    def last_line(self) -> str:
        """The last line with something on it, of stderr, else of stdout; else nothing."""
        for stream in (STDERR, STDOUT):
            text = self._ends[stream][-_LAST_LINE:].decode("utf-8", "replace").rstrip()
            if text:
                return text.rpartition("\n")[2].strip()
        return ""
