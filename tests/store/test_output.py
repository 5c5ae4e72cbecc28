"""What runs print: kept by run, in order of arrival, and only while the claim holds."""

from __future__ import annotations

from queuectl.model import FAILED, STDERR, STDOUT, Chunk, OutputPart
from queuectl.store.base import Store

from .helpers import T0, LivingWorker, add, living_worker, the_end

HELLO = Chunk(1, STDOUT, 0, b"hello\n")
OOPS = Chunk(2, STDERR, 0, b"oops\n")
WORLD = Chunk(3, STDOUT, 6, b"world\n")


def test_a_run_that_printed_nothing_has_no_output(store: Store, worker: LivingWorker) -> None:
    add(store, "a")
    claim = worker.run_one()
    assert store.read_output(claim.token) == []
    assert store.read_output(999_999) == []


def test_output_sent_with_the_end_of_a_run_is_kept(store: Store, worker: LivingWorker) -> None:
    add(store, "a")
    claim = worker.claim_one()
    worker.finish(claim, output=OutputPart(claim.token, [HELLO, OOPS, WORLD]))
    assert store.read_output(claim.token) == [HELLO, OOPS, WORLD]


def test_output_of_a_running_job_is_seen_at_once_by_all(
    store: Store, another: Store, worker: LivingWorker
) -> None:
    add(store, "a")
    claim = worker.claim_one()
    worker.turn(output=[OutputPart(claim.token, [HELLO])])
    assert another.read_output(claim.token) == [HELLO]
    worker.turn(output=[OutputPart(claim.token, [OOPS])])
    assert another.read_output(claim.token) == [HELLO, OOPS]


def test_chunks_come_back_in_order_of_arrival_whatever_the_order_sent(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a")
    claim = worker.claim_one()
    worker.turn(output=[OutputPart(claim.token, [WORLD, HELLO])])
    worker.turn(output=[OutputPart(claim.token, [OOPS])])
    assert store.read_output(claim.token) == [HELLO, OOPS, WORLD]


def test_reading_goes_on_from_a_number(store: Store, worker: LivingWorker) -> None:
    add(store, "a")
    claim = worker.claim_one()
    worker.turn(output=[OutputPart(claim.token, [HELLO, OOPS, WORLD])])
    assert store.read_output(claim.token, after=0) == [HELLO, OOPS, WORLD]
    assert store.read_output(claim.token, after=2) == [OOPS, WORLD]
    assert store.read_output(claim.token, after=3) == [WORLD]
    assert store.read_output(claim.token, after=4) == []


def test_a_chunk_may_grow_and_keeps_its_number(store: Store, worker: LivingWorker) -> None:
    add(store, "a")
    claim = worker.claim_one()
    grown = HELLO.replace(data=b"hello\nagain\n")
    worker.turn(output=[OutputPart(claim.token, [HELLO, OOPS])])
    worker.turn(output=[OutputPart(claim.token, [grown])])
    assert store.read_output(claim.token) == [grown, OOPS]


def test_a_chunk_may_lose_its_beginning(store: Store, worker: LivingWorker) -> None:
    add(store, "a")
    claim = worker.claim_one()
    trimmed = WORLD.replace(offset=9, data=b"ld\n")
    worker.turn(output=[OutputPart(claim.token, [HELLO, WORLD])])
    worker.turn(output=[OutputPart(claim.token, [trimmed])])
    assert store.read_output(claim.token) == [HELLO, trimmed]


def test_chunks_are_dropped_as_the_last_half_moves_on(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a")
    claim = worker.claim_one()
    worker.turn(output=[OutputPart(claim.token, [HELLO, OOPS, WORLD])])
    more = Chunk(4, STDOUT, 12, b"more\n")
    finish = the_end(claim, output=OutputPart(claim.token, [more], drop=[2, 3, 99]))
    worker.turn(finish)
    assert store.read_output(claim.token) == [HELLO, more]


def test_bytes_are_kept_as_they_are(store: Store, worker: LivingWorker) -> None:
    add(store, "a")
    claim = worker.claim_one()
    wild = Chunk(1, STDOUT, 0, bytes(range(256)) * 300)
    worker.turn(output=[OutputPart(claim.token, [wild])])
    assert store.read_output(claim.token) == [wild]
    assert type(store.read_output(claim.token)[0].data) is bytes


def test_offsets_and_numbers_may_be_large(store: Store, worker: LivingWorker) -> None:
    add(store, "a")
    claim = worker.claim_one()
    far = Chunk(10_000_000, STDERR, 1 << 45, b"x")
    worker.turn(output=[OutputPart(claim.token, [HELLO, far])])
    assert store.read_output(claim.token) == [HELLO, far]


def test_each_run_keeps_its_own_output(store: Store, worker: LivingWorker) -> None:
    add(store, "a", base=0)
    add(store, "b")
    first, other = worker.claim(2)
    worker.turn(output=[OutputPart(first.token, [HELLO]), OutputPart(other.token, [OOPS])])
    worker.finish(first, FAILED)
    second = worker.claim_one()
    worker.turn(output=[OutputPart(second.token, [WORLD])])
    kept = [store.read_output(run.token) for run in (first, other, second)]
    assert kept == [[HELLO], [OOPS], [WORLD]]


def test_output_for_a_token_that_is_not_current_is_ignored(
    store: Store, worker: LivingWorker, other_worker: LivingWorker
) -> None:
    add(store, "done", "given-back", "foreign")
    done, given_back = worker.claim(2)
    foreign = other_worker.claim_one()
    worker.finish(done, output=OutputPart(done.token, [HELLO]))
    store.release(worker.id, [given_back.token], T0)
    tokens = (done.token, given_back.token, foreign.token, 999_999)
    turn = worker.turn(output=[OutputPart(token, [WORLD], drop=[1]) for token in tokens])
    assert list(turn.refused) == []
    kept = [store.read_output(token) for token in tokens]
    assert kept == [[HELLO], [], [], []]


def test_output_of_a_refused_finish_is_not_kept(store: Store, worker: LivingWorker) -> None:
    add(store, "a")
    with living_worker(store) as late:
        claim = late.claim_one()
        late.die()
        store.rescue(late.id, None, T0)
    finish = the_end(claim, output=OutputPart(claim.token, [HELLO]))
    worker.turn(finish)
    assert store.read_output(claim.token) == []


def test_output_sent_in_the_turn_of_its_finish_is_not_lost(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a", "b")
    a, b = worker.claim(2)
    worker.turn(
        the_end(a, output=OutputPart(a.token, [HELLO])), output=[OutputPart(b.token, [OOPS])]
    )
    assert store.read_output(a.token) == [HELLO]
    assert store.read_output(b.token) == [OOPS]


def test_what_waited_to_be_told_is_kept_beside_the_end_of_its_run(
    store: Store, worker: LivingWorker
) -> None:
    """Parts and the end of a run come in one turn where the store was away meanwhile."""
    add(store, "a")
    claim = worker.claim_one()
    finish = the_end(claim, output=OutputPart(claim.token, [WORLD]))
    waited = [OutputPart(claim.token, [chunk]) for chunk in (HELLO, OOPS)]
    worker.turn(finish, output=waited)
    assert store.read_output(claim.token) == [HELLO, OOPS, WORLD]
    worker.turn(finish, output=[OutputPart(claim.token, [], drop=[1])])  # told again: too late
    assert store.read_output(claim.token) == [HELLO, OOPS, WORLD]


def test_of_several_parts_in_one_turn_the_last_holds(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a")
    claim = worker.claim_one()
    grown = HELLO.replace(data=b"hello\nagain\n")
    grown_more = HELLO.replace(data=b"hello\nagain\nand again\n")
    parts = [
        OutputPart(claim.token, [HELLO, OOPS]),
        OutputPart(claim.token, [grown, WORLD]),
        OutputPart(claim.token, [grown_more], drop=[3]),
    ]
    worker.turn(output=parts)
    assert store.read_output(claim.token) == [grown_more, OOPS]
    worker.turn(the_end(claim, output=OutputPart(claim.token, [], drop=[2])), output=parts[1:2])
    assert store.read_output(claim.token) == [grown, WORLD]


def test_output_stays_when_a_job_is_revived(store: Store, worker: LivingWorker) -> None:
    add(store, "a", max_retries=1)
    claim = worker.claim_one()
    worker.finish(claim, FAILED, output=OutputPart(claim.token, [HELLO]))
    store.retry(["a"], T0)
    assert store.read_output(claim.token) == [HELLO]


def test_a_chunk_keeps_to_its_run_however_many_came_before(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a", "b", "c")
    claims = worker.claim(3)
    far = [Chunk(number, STDOUT, 0, b"far") for number in (2**24 - 1, 2**24, 2**25, 2**40)]
    worker.turn(output=[OutputPart(claim.token, [HELLO]) for claim in claims])
    worker.turn(output=[OutputPart(claims[0].token, far)])
    assert store.read_output(claims[0].token) == [HELLO, *far]
    assert store.read_output(claims[0].token, after=2**25) == far[2:]
    assert [store.read_output(claim.token) for claim in claims[1:]] == [[HELLO]] * 2
    worker.turn(output=[OutputPart(claims[0].token, [], [2**25, 2**40])])
    assert store.read_output(claims[0].token) == [HELLO, *far[:2]]
    worker.finish(claims[0])
    store.delete(["a"], T0)
    assert [store.read_output(claim.token) for claim in claims] == [[], [HELLO], [HELLO]]
