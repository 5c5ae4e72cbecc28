"""What is kept of output: whatever a run prints, the first and the last half of the limit."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queuectl.model import STDERR, STDOUT, Chunk
from queuectl.worker.output import OutputBuffer

STREAMS = (STDOUT, STDERR)
Place = tuple[int, int]
"""A byte: (stream, offset)."""


class Kept:
    """What a store would hold, and beside it all that was ever printed."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.buffer = OutputBuffer(1, limit)
        self.chunks: dict[int, Chunk] = {}
        self.printed = dict.fromkeys(STREAMS, b"")
        self.arrived: list[Place] = []

    def take(self, stream: int, data: bytes) -> None:
        start = len(self.printed[stream])
        self.printed[stream] += data
        self.arrived += [(stream, start + n) for n in range(len(data))]
        self.buffer.take(stream, memoryview(data))

    def flush(self) -> None:
        part = self.buffer.changes()
        if part is None:
            return
        for number in part.drop:
            del self.chunks[number]  # it must have been put before
        for chunk in part.put:
            self.chunks[chunk.number] = chunk
        assert self.buffer.changes() is None

    def check(self) -> None:
        """First and last half, at their places, in order of arrival."""
        chunks = [self.chunks[number] for number in sorted(self.chunks)]
        places = [(c.stream, c.offset + n) for c in chunks for n in range(len(c.data))]
        head, tail = self.limit - self.limit // 2, self.limit // 2
        for stream in STREAMS:
            size = len(self.printed[stream])
            kept = sorted(offset for s, offset in places if s == stream)
            first = range(min(size, head))
            last = range(max(len(first), size - tail), size)
            assert kept == [*first, *last]
        for chunk in chunks:
            there = self.printed[chunk.stream][chunk.offset :][: len(chunk.data)]
            assert chunk.data == there
            assert chunk.data or self.limit < 2
        wanted = set(places)
        assert places == [place for place in self.arrived if place in wanted]


pieces = st.tuples(st.sampled_from(STREAMS), st.binary(min_size=1, max_size=60))
flush = st.none()


@given(
    limit=st.integers(0, 100),
    events=st.lists(st.one_of(pieces, pieces, flush), max_size=60),
)
def test_the_store_holds_first_and_last_half_after_every_flush(
    limit: int, events: list[tuple[int, bytes] | None]
) -> None:
    kept = Kept(limit)
    for event in events:
        if event is None:
            kept.flush()
            kept.check()
        else:
            kept.take(*event)
    kept.flush()
    kept.check()


@given(
    limit=st.integers(1, 20_000),
    events=st.lists(
        st.one_of(st.tuples(st.sampled_from(STREAMS), st.integers(1, 9_000)), flush),
        max_size=30,
    ),
)
def test_it_holds_for_pieces_larger_than_those_that_grow(
    limit: int, events: list[tuple[int, int] | None]
) -> None:
    kept = Kept(limit)
    for n, event in enumerate(events):
        if event is None:
            kept.flush()
            continue
        stream, size = event
        kept.take(stream, bytes((n + i) % 251 for i in range(size)))
    kept.flush()
    kept.check()


@given(
    limit=st.integers(0, 60),
    sizes=st.lists(st.integers(1, 50), min_size=1, max_size=20),
)
def test_the_number_of_bytes_dropped_is_the_gap_between_chunks(
    limit: int, sizes: list[int]
) -> None:
    kept = Kept(limit)
    for size in sizes:
        kept.take(STDOUT, b"x" * size)
    kept.flush()
    end = dropped = 0
    for _number, chunk in sorted(kept.chunks.items()):
        dropped += chunk.offset - end
        end = chunk.offset + len(chunk.data)
    assert end == sum(sizes)
    assert dropped == max(0, sum(sizes) - limit)
    assert len(kept.chunks) <= max(2, limit)


def test_lines_that_follow_each_other_share_a_chunk() -> None:
    kept = Kept(65536)
    for n in range(100):
        kept.take(STDOUT, f"line {n}\n".encode())
    kept.flush()
    assert len(kept.chunks) == 1


def test_a_chunk_that_grew_is_put_again_under_its_number() -> None:
    kept = Kept(65536)
    kept.take(STDOUT, b"one ")
    kept.flush()
    kept.take(STDOUT, b"two")
    kept.flush()
    assert [chunk.data for chunk in kept.chunks.values()] == [b"one two"]


def test_nothing_new_is_nothing_to_tell() -> None:
    buffer = OutputBuffer(1, 100)
    assert buffer.changes() is None
    buffer.take(STDOUT, b"news")
    assert buffer.changes() is not None
    assert buffer.changes() is None


@pytest.mark.parametrize("size", [1, 7, 4096, 65536, 1 << 20])
def test_memory_is_bounded_by_the_limit_whatever_is_printed(size: int) -> None:
    limit = 65536
    data = memoryview(b"x" * size)
    buffer = OutputBuffer(1, limit)
    tracemalloc.start()
    try:
        for _ in range(max(20, min(30_000, (64 << 20) // size))):
            buffer.take(STDOUT, data)
        part = buffer.changes()
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert part is not None
    assert sum(len(chunk.data) for chunk in part.put) <= limit
    assert peak < 4 * limit + 2 * min(size, limit)


def test_memory_is_bounded_when_streams_alternate_byte_by_byte() -> None:
    limit = 8192
    buffer = OutputBuffer(1, limit)
    tracemalloc.start()
    try:
        for _ in range(2 * limit):
            buffer.take(STDOUT, b"o")
            buffer.take(STDERR, b"e")
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 512 * limit


def test_the_last_line_is_of_stderr_else_of_stdout() -> None:
    buffer = OutputBuffer(1, 100)
    assert buffer.last_line() == ""
    buffer.take(STDOUT, b"all is well\n")
    assert buffer.last_line() == "all is well"
    buffer.take(STDERR, b"first\nbad thing \n\n \n")
    buffer.take(STDOUT, b"goodbye\n")
    assert buffer.last_line() == "bad thing"


def test_the_last_line_is_found_behind_megabytes_and_bad_encodings() -> None:
    buffer = OutputBuffer(1, 100)
    buffer.take(STDERR, b"x" * 1_000_000 + b"\n")
    buffer.take(STDERR, b"caf\xe9 \xff\n")
    assert buffer.last_line() == "caf\ufffd \ufffd"
