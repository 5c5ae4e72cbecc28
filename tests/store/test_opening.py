"""Opening stores: new ones, again, by many processes at once."""

from __future__ import annotations

import multiprocessing
import os
from typing import Any

import pytest

from queuectl.errors import BAD_USAGE, BadInput, StoreError
from queuectl.model import FAILED, PENDING, Filter
from queuectl.store import home, open_store
from queuectl.store.base import Store

from .backends import SqliteBackend
from .helpers import T0, LivingWorker, a_job, add, audit, living_worker


def test_a_new_store_is_empty(store: Store) -> None:
    assert store.list_jobs(Filter()) == []
    assert store.workers() == []
    assert store.lost_workers(T0) == []


def test_everything_is_still_there_after_reopening(backend: SqliteBackend) -> None:
    url = backend.new_url()
    with backend.open(url) as store, living_worker(store) as worker:
        add(store, "failed", "running", "waiting", tags=("t",))
        add(store, "blocked", after=("waiting",))
        worker.run_one(FAILED)
        worker.claim_one()
        store.set_queue("mail", paused=True, limit=2)
        store.set_config("max_retries", "9")
        before = _all_of(store)
    store = backend.open(url)
    assert _all_of(store) == before
    audit(store)


def _all_of(store: Store) -> tuple[Any, ...]:
    jobs = store.list_jobs(Filter())
    return (
        jobs,
        [store.history(job.id) for job in jobs],
        store.stats(),
        store.config(),
        store.metrics(9),
        store.workers()[0].replace(alive=False),
        (store.url, store.uid, store.slot_dir, store.log_dir),
    )


def test_each_store_has_a_name_of_its_own(backend: SqliteBackend) -> None:
    one, other = backend.open(), backend.open()
    assert one.uid != other.uid
    assert one.uid
    assert one.slot_dir != other.slot_dir


def test_the_url_leads_back_to_the_same_store_from_anywhere(
    backend: SqliteBackend, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(store, "a")
    monkeypatch.chdir("/")
    assert backend.open(store.url).get("a").state == PENDING
    assert os.path.isabs(store.slot_dir)
    assert os.path.isabs(store.log_dir)


def test_claims_outlive_the_connection_of_the_worker(
    store: Store, another: Store, worker: LivingWorker
) -> None:
    add(store, "a")
    claim = worker.claim_one()
    assert another.held(worker.id) == {claim.token: claim.seq}


def _open_and_enqueue(url: str, barrier: Any, results: Any) -> None:
    barrier.wait(30)
    try:
        with open_store(url) as store:
            results.put((store.uid, store.enqueue([a_job(), a_job()], T0)))
    except BaseException as error:
        results.put((repr(error), []))
        raise


@pytest.mark.parametrize("attempt", range(3))
def test_a_new_store_may_be_opened_by_many_processes_at_once(
    backend: SqliteBackend, attempt: int
) -> None:
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(8), context.SimpleQueue()
    url = backend.new_url()
    processes = [
        context.Process(target=_open_and_enqueue, args=(url, barrier, results))
        for _ in range(8)
    ]
    for process in processes:
        process.start()
    answers = [results.get() for _ in processes]
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0] * 8, answers
    assert len({uid for uid, _ids in answers}) == 1
    made = [id for _uid, ids in answers for id in ids]
    assert len(set(made)) == 16
    store = backend.open(url)
    assert {job.id for job in store.list_jobs(Filter())} == set(made)
    audit(store)


@pytest.mark.parametrize("url", ["mysql://host/db", "http://x", "redis://localhost"])
def test_an_unknown_kind_of_store_is_refused(url: str) -> None:
    with pytest.raises(BadInput) as refusal:
        open_store(url)
    assert refusal.value.exit_code == BAD_USAGE
    assert url.partition(":")[0] in refusal.value.message


def test_the_default_store_is_in_the_home(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUEUECTL_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("QUEUECTL_DB", raising=False)
    assert home() == str(tmp_path / "home")
    with open_store() as store:
        assert store.url == str(tmp_path / "home" / "queue.db")
    monkeypatch.setenv("QUEUECTL_DB", str(tmp_path / "other.db"))
    with open_store() as store:
        assert store.url == str(tmp_path / "other.db")


def test_a_user_without_a_home_is_told_and_gets_no_store_where_he_stands(
    tmp_path: os.PathLike[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("HOME", "QUEUECTL_HOME", "QUEUECTL_DB"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # as for an unknown uid
    with pytest.raises(StoreError, match="no home"):
        open_store()
    assert os.listdir(tmp_path) == []


def test_an_empty_name_is_no_store() -> None:
    with pytest.raises(BadInput):
        open_store("")
