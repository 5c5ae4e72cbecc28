"""`queuectl worker`: start, stop and see the processes that run jobs."""

from __future__ import annotations

from queuectl.cli.context import note, on_terminal, out, out_json, store_of
from queuectl.cli.parser import duration, json_option, whole_number
from queuectl.errors import BadInput
from queuectl.jobfields import check_queue

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from queuectl.model import Worker
    from queuectl.store.base import Store

_MOST_PROCESSES = 1_000
_MOST_SLOTS = 10_000
_JOBS_NAMED = 5


def configure_start(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    processes = whole_number("--count", 1, _MOST_PROCESSES)
    slots = whole_number("--concurrency", 1, _MOST_SLOTS)
    add = parser.add_argument
    add("--count", metavar="N", type=processes, default=1, help="processes (1)")
    add("--concurrency", metavar="M", type=slots, default=1, help="jobs at a time in each (1)")
    add("--queue", metavar="Q,…", action="append", help="only these queues (all)")
    add("--detach", action="store_true", help="in the background")
    add("--drain", action="store_true", help="end when nothing is left to do")
    add("--ensure", action="store_true", help="start only what is missing of N")
    parser.epilog = (
        "In the foreground Ctrl+C stops gracefully: what runs may finish, within\n"
        "shutdown_timeout. Ctrl+C again: now. A second start adds more workers."
    )


def run_start(args: argparse.Namespace) -> int:
    """Run workers until they are stopped, or start them in the background."""
    queues = _queues(args.queue)
    if not args.ensure:
        return _start(args, queues, args.count, lambda _pids: None)
    from queuectl.worker.ensure import count_serving
    from queuectl.worker.roster import Counting

    with store_of(args) as store:
        slot_dir = store.slot_dir
    with Counting(slot_dir) as turn:
        with store_of(args) as store:
            running = count_serving(store, queues)
        if running >= args.count:
            out(f"{running} worker(s) run already")
            return 0
        return _start(args, queues, args.count - running, lambda _pids: turn.end())


def _start(
    args: argparse.Namespace,
    queues: tuple[str, ...],
    count: int,
    on_ready: Callable[[list[int]], None],
) -> int:
    if args.detach:
        from queuectl.worker.detach import start_detached

        pids = start_detached(
            args.db, count=count, concurrency=args.concurrency, queues=queues, drain=args.drain
        )
        out(f"Started {len(pids)} worker(s) in the background with PIDs: {pids}")
        return 0
    from queuectl.worker.supervisor import start

    return start(
        args.db,
        count=count,
        concurrency=args.concurrency,
        queues=queues,
        drain=args.drain,
        on_ready=on_ready,
    )


def configure_stop(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("workers", metavar="WORKER", nargs="*", help="ids or PIDs, as in worker list (all)")
    add("--timeout", metavar="D", type=duration("--timeout"), help="time for what runs (30s)")
    add("--now", action="store_true", help="give what runs no time")
    add("--all-hosts", action="store_true", help="workers of other hosts too")
    json_option(parser)


def run_stop(args: argparse.Namespace) -> int:
    """Stop workers; they are gone when this returns."""
    if args.now and args.timeout is not None:
        raise BadInput("--now and --timeout can't both be given")
    from queuectl.worker.stopping import stop

    with store_of(args) as store:
        args.workers = _ids(store.workers(), args.workers)
        if on_terminal() and not args.now:
            _say_what_may_finish(store, args)
        stopped = stop(
            store,
            tuple(args.workers),
            seconds=args.timeout,
            now=args.now,
            all_hosts=args.all_hosts,
        )
        elsewhere = 0 if stopped or args.all_hosts else len(_living_elsewhere(store.workers()))
    if args.json:
        out_json(stopped)
    elif stopped:
        out(f"Stopped {len(stopped)} worker(s): {', '.join(stopped)}")
    elif elsewhere:
        out(f"No workers are running on this host ({elsewhere} elsewhere: --all-hosts).")
    else:
        out("No workers are running.")
    return 0


def _ids(workers: Sequence[Worker], named: Sequence[str]) -> list[str]:
    """The workers' ids, where some are named by their PIDs on this host."""
    from queuectl.host import is_here

    by_pid = {
        str(worker.pid): worker.id for worker in workers if worker.alive and is_here(worker)
    }
    return list(dict.fromkeys([by_pid.get(name, name) for name in named]))


def _living_elsewhere(workers: Sequence[Worker]) -> list[Worker]:
    from queuectl.host import is_here

    return [worker for worker in workers if worker.alive and not is_here(worker)]


def _say_what_may_finish(store: Store, args: argparse.Namespace) -> None:
    """The runs that hold a stop up, for how long at most, and how not to wait."""
    from queuectl.durations import format_duration
    from queuectl.host import is_here

    jobs = [
        job
        for worker in store.workers()
        if worker.alive and (args.all_hosts or is_here(worker))
        if not args.workers or worker.id in args.workers
        for job in worker.jobs
    ]
    if not jobs:
        return
    seconds = store.config().shutdown_timeout if args.timeout is None else args.timeout
    more = f" and {len(jobs) - _JOBS_NAMED} more" if len(jobs) > _JOBS_NAMED else ""
    back = "it goes back" if len(jobs) == 1 else "they go back"
    named = f"{', '.join(jobs[:_JOBS_NAMED])}{more}"
    words = ["queuectl worker stop --now", *["--all-hosts"][: args.all_hosts], *args.workers]
    note(f"stopping: {format_duration(seconds)} for {named}, then {back}")
    note(f"  at once: {' '.join(words)}")


def configure_list(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    json_option(parser)


def run_list(args: argparse.Namespace) -> int:
    """Print the workers, and what they run."""
    with store_of(args) as store:
        workers = store.workers()
    if args.json:
        from queuectl.cli.jsonshapes import worker_json

        out_json([worker_json(worker) for worker in workers])
        return 0
    if not workers:
        note("no workers\n  try: queuectl worker start --detach")
        return 0
    import sys

    from queuectl.cli.screens.layout import Look
    from queuectl.cli.screens.tables import render_workers
    from queuectl.clock import now_ms

    out("\n".join(render_workers(workers, Look.of(sys.stdout), now_ms())))
    return 0


def configure_health(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    json_option(parser)


def run_health(args: argparse.Namespace) -> int:
    """Exit code 0 if any worker is alive, else 1."""
    with store_of(args) as store:
        workers = store.workers()
    alive = sum([worker.alive for worker in workers])
    if args.json:
        out_json({"healthy": alive > 0, "workers": alive})
    elif alive:
        none_here = ", none on this host" if len(_living_elsewhere(workers)) == alive else ""
        out(f"{alive} worker(s) alive{none_here}")
    else:
        out("no worker is alive")
        note("  try: queuectl worker start --detach")
    return 0 if alive else 1


def _queues(given: list[str] | None) -> tuple[str, ...]:
    names = [name.strip() for text in given or () for name in text.split(",")]
    return tuple(dict.fromkeys([check_queue(name) for name in names]))
