"""What is kept of a run's output: of each stream the first and the last half of a limit.

Memory is bounded by the limit, whatever the run prints. What is dropped shows as a gap between
chunks; where no last half is kept (a limit of 0 or 1), an empty chunk tells where the end is.
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


class _Stream:
    """What was seen of a stream, and the pieces of its last half."""

    __slots__ = ("end", "seen", "tail", "tail_size")

    def __init__(self) -> None:
        self.end = b""
        self.seen = 0
        self.tail: deque[_Piece] = deque()
        self.tail_size = 0


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
        self._streams: dict[int, _Stream] = {}
        self._changed: dict[int, _Piece] = {}
        self._dropped: list[int] = []

    def take(self, number: int, data: bytes | memoryview) -> None:
        """Bytes that arrived on stream `number`."""
        stream = self._streams.get(number)
        if stream is None:
            stream = self._streams[number] = _Stream()
        offset = stream.seen
        stream.seen = offset + len(data)
        room = self._head - offset
        if room > 0:
            self._add(number, stream, offset, bytes(data[:room]), in_tail=False)
            data = data[room:]
            offset += room
        if len(data):
            skip = max(0, len(data) - self._tail)
            self._add(number, stream, offset + skip, bytes(data[skip:]), in_tail=True)
            self._trim(stream)

    def _add(
        self, number: int, stream: _Stream, offset: int, data: bytes, *, in_tail: bool
    ) -> None:
        stream.end = data if len(data) > _LAST_LINE else (stream.end + data)[-_LAST_LINE:]
        last = self._last
        if (
            last is not None
            and last.stream == number
            and last.offset + len(last.data) == offset
            and len(last.data) + len(data) <= _GROWS_TO
            and (last.offset >= self._head) == in_tail
        ):
            last.data += data
            self._changed[last.number] = last
        else:
            last = self._last = _Piece(self._next, number, offset, data)
            self._next += 1
            self._changed[last.number] = last
            if in_tail:
                stream.tail.append(last)
        if in_tail:
            stream.tail_size += len(data)

    def _trim(self, stream: _Stream) -> None:
        excess = stream.tail_size - self._tail
        stream.tail_size -= max(0, excess)
        while excess > 0 or (not self._tail and len(stream.tail) > 1):
            oldest = stream.tail[0]
            if len(oldest.data) > excess:
                oldest.data = oldest.data[excess:]
                oldest.offset += excess
                self._changed[oldest.number] = oldest
                return
            excess -= len(oldest.data)
            stream.tail.popleft()
            self._changed.pop(oldest.number, None)
            if oldest.stored:
                self._dropped.append(oldest.number)

    def changes(self) -> OutputPart | None:
        """What is new since the last call; None if nothing."""
        if not (self._changed or self._dropped):
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
        for number in (STDERR, STDOUT):
            if number not in self._streams:
                continue
            end = self._streams[number].end[-_LAST_LINE:]
            text = end.decode("utf-8", "replace").rstrip()
            if text:
                return text.rpartition("\n")[2].strip()
        return ""
