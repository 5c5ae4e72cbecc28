"""Jobs in: all of a batch or none, in exactly one state, and kept as they were given."""

from __future__ import annotations

import pytest

from queuectl.errors import JobExists, JobNotFound
from queuectl.model import COMPLETED, DEAD, PENDING, STATES, Filter
from queuectl.retry import RetryPolicy
from queuectl.store.base import Store

from .helpers import HOUR, T0, LivingWorker, a_job, add, counted, ids, states


def test_an_accepted_job_is_pending_and_can_be_read_back_whole(store: Store) -> None:
    given = a_job(
        "backup-1",
        command="tar c . | gzip > 'a b'.gz # ü",
        policy=RetryPolicy(7, 1.5, 120, 0.25),
        timeout_seconds=12.5,
        cwd="/srv/ü b",
        queue="mail",
        priority=9,
        run_at=T0 + HOUR,
        cwd_explicit=True,
        env={"A": "1", "ü": "x=y\nz"},
        captured={"PATH": "/bin"},
        tags=("nightly", "ü"),
        created_by="bob@far",
    )
    assert store.enqueue([given], T0) == ["backup-1"]
    job = store.get("backup-1")
    assert (job.id, job.command, job.queue, job.priority) == (
        "backup-1",
        given.command,
        "mail",
        9,
    )
    assert (job.max_retries, job.backoff_base, job.backoff_max, job.backoff_jitter) == (
        7,
        1.5,
        120,
        0.25,
    )
    assert (job.timeout_seconds, job.cwd, job.created_by) == (12.5, "/srv/ü b", "bob@far")
    assert (dict(job.env), job.tags, job.after) == (given.env, given.tags, ())
    assert (job.run_at, job.due_at, job.created_at, job.updated_at) == (
        T0 + HOUR,
        T0 + HOUR,
        T0,
        T0,
    )
    assert (job.state, job.attempts, job.runs) == (PENDING, 0, 0)
    nothing = (job.outcome, job.exit_code, job.signal, job.error, job.started_at)
    assert nothing == (None,) * 5
    assert (job.finished_at, job.duration, job.worker_id, job.progress) == (None,) * 4


@pytest.mark.parametrize(
    "command", ["true", "", "['a']", '["a", "b"]', ("ls",), ("ls", "-l", "a b", ""), "a\nb\n"]
)
def test_a_shell_line_and_an_argument_list_stay_apart(
    store: Store, worker: LivingWorker, command: str | tuple[str, ...]
) -> None:
    add(store, "a", command=command)
    assert store.get("a").command == command
    assert worker.claim_one().command == command


def test_a_claim_carries_all_that_is_needed_to_run(store: Store, worker: LivingWorker) -> None:
    policy = RetryPolicy(7, 1.5, 120, 0.25)
    given = a_job(
        "a",
        command=("ls", "-l"),
        policy=policy,
        timeout_seconds=12.5,
        cwd="/srv",
        queue="mail",
        cwd_explicit=True,
        env={"A": "1"},
        captured={"PATH": "/bin", "LANG": "C"},
        created_by="bob@far",
    )
    store.enqueue([given], T0)
    claim = worker.claim_one()
    assert (claim.id, claim.command, claim.policy) == ("a", ("ls", "-l"), policy)
    assert (claim.attempt, claim.attempts, claim.queue) == (1, 0, "mail")
    assert (claim.timeout_seconds, claim.cwd, claim.cwd_explicit) == (12.5, "/srv", True)
    assert (dict(claim.env), dict(claim.captured)) == (given.env, given.captured)
    assert claim.created_by == "bob@far"
    assert claim.seq == store.get("a").seq


def test_jobs_of_one_batch_keep_their_own_environments(
    store: Store, worker: LivingWorker
) -> None:
    worlds = [{"PATH": "/a"}, {"PATH": "/b"}, {}, {"PATH": "/a"}]
    store.enqueue([a_job(captured=world, env=world) for world in worlds], T0)
    claims = worker.claim(4)
    assert [dict(claim.captured) for claim in claims] == worlds
    assert [dict(claim.env) for claim in claims] == worlds


def test_captured_variables_are_not_shown_with_those_asked_for(store: Store) -> None:
    add(store, "a", env={"A": "1"}, captured={"PATH": "/bin"})
    assert dict(store.get("a").env) == {"A": "1"}


def test_ids_come_back_in_the_order_given(store: Store) -> None:
    jobs = [a_job("b"), a_job(), a_job("a"), a_job()]
    first, made_up, third, last = store.enqueue(jobs, T0)
    assert (first, third) == ("b", "a")
    assert [job.id for job in store.list_jobs(Filter())] == [last, "a", made_up, "b"]


def test_an_empty_batch_is_accepted_and_changes_nothing(store: Store) -> None:
    assert store.enqueue([], T0) == []
    assert store.stats().counts == dict.fromkeys(STATES, 0)


def test_a_made_up_id_is_j_and_the_number_of_arrival(store: Store) -> None:
    for made_up in store.enqueue([a_job(), a_job(), a_job()], T0):
        assert made_up == f"j{store.get(made_up).seq}"


def test_made_up_ids_skip_those_that_somebody_chose(store: Store) -> None:
    (first,) = store.enqueue([a_job()], T0)
    number = int(first.removeprefix("j"))
    chosen = [f"j{number + step}" for step in (2, 3, 5)]
    add(store, *chosen)
    made_up = store.enqueue([a_job() for _ in range(6)], T0)
    assert not set(made_up) & {first, *chosen}
    assert len(set(made_up)) == 6
    assert set(states(store)) == {first, *chosen, *made_up}


def test_made_up_ids_skip_those_chosen_later_in_the_same_batch(store: Store) -> None:
    chosen = [f"j{number}" for number in range(1, 6)]
    given = store.enqueue([a_job(), a_job(), *map(a_job, chosen), a_job()], T0)
    assert given[2:7] == chosen
    assert len(set(given)) == 8


def test_an_id_that_was_made_up_cannot_be_chosen(store: Store) -> None:
    (made_up,) = store.enqueue([a_job()], T0)
    with pytest.raises(JobExists):
        add(store, made_up)


@pytest.mark.parametrize("chosen", ["j", "j0", "j007", "J1", "j1x", "j٣", "j" + "9" * 30])
def test_ids_that_only_look_made_up_are_ids_like_any_other(store: Store, chosen: str) -> None:
    add(store, chosen)
    made_up = store.enqueue([a_job() for _ in range(9)], T0)
    assert store.get(chosen).id == chosen
    assert chosen not in made_up


def test_the_number_of_the_newest_job_is_not_given_again_after_its_deletion(
    store: Store,
) -> None:
    (first,) = store.enqueue([a_job()], T0)
    number = store.get(first).seq
    store.delete([first], T0)
    (second,) = store.enqueue([a_job()], T0)
    assert store.get(second).seq > number
    assert second != first


def test_arrival_is_numbered_upward_and_shared_by_all_connections(
    store: Store, another: Store
) -> None:
    for number in range(6):
        add((store, another)[number % 2], f"n{number}")
    seqs = [store.get(f"n{number}").seq for number in range(6)]
    assert seqs == sorted(set(seqs))


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_taken_id_refuses_the_whole_batch_and_names_the_state(
    store: Store, place: int
) -> None:
    add(store, "taken", command="first")
    before = store.get("taken")
    batch = [a_job(), a_job("new", queue="fresh")]
    batch.insert(place, a_job("taken", command="second"))
    with pytest.raises(JobExists, match="taken exists already") as refusal:
        store.enqueue(batch, T0 + 1)
    assert (refusal.value.job_id, refusal.value.state) == ("taken", PENDING)
    assert refusal.value.exit_code == 4
    assert states(store) == {"taken": PENDING}
    assert store.get("taken") == before
    assert store.metrics(0).events["enqueued"] == 1


def test_the_id_of_a_finished_job_stays_taken_until_it_is_deleted(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a")
    worker.run_one()
    with pytest.raises(JobExists) as refusal:
        add(store, "a")
    assert refusal.value.state == COMPLETED
    store.delete(["a"], T0)
    assert add(store, "a") == ["a"]


def test_an_id_twice_in_one_batch_refuses_the_batch(store: Store) -> None:
    with pytest.raises(JobExists):
        store.enqueue([a_job("a"), a_job("b"), a_job("a")], T0)
    assert states(store) == {}


def test_an_unknown_id_in_after_refuses_the_whole_batch(store: Store) -> None:
    with pytest.raises(JobNotFound, match="ghost") as refusal:
        store.enqueue([a_job("a"), a_job("b", after=("a", "ghost"))], T0)
    assert refusal.value.job_id == "ghost"
    assert states(store) == {}


def test_a_refused_batch_leaves_no_queue_behind(store: Store) -> None:
    add(store, "a")
    before = [queue.name for queue in store.stats().queues]
    with pytest.raises(JobExists):
        add(store, "a", queue="nowhere")
    assert [queue.name for queue in store.stats().queues] == before


def test_accepted_jobs_are_seen_by_other_connections_at_once(
    store: Store, another: Store
) -> None:
    add(store, "a")
    assert another.get("a").state == PENDING
    assert counted(another) == {PENDING: 1}


def test_a_job_without_a_time_is_due_now(store: Store, worker: LivingWorker) -> None:
    add(store, "a")
    assert store.get("a").run_at is None
    assert ids(worker.claim()) == ["a"]


@pytest.mark.parametrize("late", [0, 1, HOUR])
def test_a_past_time_is_due_now_and_stays_as_it_was_asked(
    store: Store, worker: LivingWorker, late: int
) -> None:
    add(store, "a", run_at=T0 - late)
    assert store.get("a").run_at == T0 - late
    assert ids(worker.claim(now=T0)) == ["a"]


def test_a_large_batch_is_accepted_in_order(store: Store, worker: LivingWorker) -> None:
    given = store.enqueue([a_job(command=f"echo {n}") for n in range(2_000)], T0)
    assert counted(store) == {PENDING: 2_000}
    assert ids(worker.claim(3)) == given[:3]


def test_the_number_of_retries_is_stored_even_where_it_is_zero(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a", max_retries=0)
    assert store.get("a").max_retries == 0
    worker.run_one("failed")
    assert states(store) == {"a": DEAD}
