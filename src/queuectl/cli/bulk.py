"""What cancel, retry, delete and purge share: which jobs, what was done, the exit code."""

from __future__ import annotations

from queuectl.cli.context import note, out, out_json
from queuectl.cli.filters import add_filters, filter_of, is_filtered
from queuectl.cli.parser import json_option
from queuectl.errors import DONE, REFUSED, BadInput, JobNotFound
from queuectl.model import COMPLETED, PENDING, PROCESSING, STATES, Change
from queuectl.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping, Sequence

    from queuectl.model import Filter, Job
    from queuectl.store.base import Store

    Do = Callable[[Sequence[str]], list[Change]]
    Waiting = Mapping[str, Sequence[str]]

_AT_ONCE = 500
_IDS_IN_A_HINT = 20
_WAITING_NAMED = 10
RETRY = "retry"
DELETE = "delete"


class Rule(Record):
    """Which states a verb is for, and how what it did is said."""

    verb: str
    done: str
    states: tuple[str, ...]
    already: tuple[str, ...] = ()
    strict: bool = False
    """The store's own operation takes more states than the verb does."""
    ends_waiting: bool = False
    """Jobs that wait for one of those it is done to are cancelled."""
    choices: str = "ids, or --state, --queue, --tag, --since"
    """What to say to somebody who names no jobs."""


class _Brief(Record):
    """As much of a job as is kept of each while there may be very many."""

    id: str
    state: str
    seq: int
    after: tuple[str, ...]


def add_targets(parser: argparse.ArgumentParser, *, by_state: bool = True) -> None:
    """Declare ids, the filters of `list` and `--dry-run`."""
    parser.add_argument("ids", metavar="ID", nargs="*", help="the jobs")
    add_filters(parser, by_state=by_state)
    parser.add_argument("--dry-run", action="store_true", help="list them, change nothing")
    json_option(parser)


def act(args: argparse.Namespace, store: Store, rule: Rule, do: Do, now: int) -> int:
    """Do it to the jobs that the arguments name; print what was done, return the exit code.

    Raises BadInput if they name none, JobNotFound before any change.
    """
    if not args.ids:
        jobs = [_brief(job) for job in store.each_job(chosen(args, rule, now))]
        if rule.verb == RETRY:
            jobs.reverse()  # in parts, too, a job finds those it waits for revived already
        ids = [job.id for job in jobs]
        waiting = _waiting(args, store, rule, ids)
        changes = _foreseen(store, jobs, rule) if args.dry_run else in_parts(store, do, ids)
        return _answer(args, store, rule, changes, waiting)
    if is_filtered(args):
        raise BadInput("either ids or options that choose jobs, not both")
    ids = list(dict.fromkeys(args.ids))
    waiting = _waiting(args, store, rule, ids)
    if not args.dry_run and not rule.strict:
        return _answer(args, store, rule, do(ids), waiting)
    expected = _foreseen(store, [_brief(store.get(job_id)) for job_id in ids], rule)
    if not args.dry_run:
        fit = [change.id for change in expected if change.result == "done"]
        done = {change.id: change for change in (do(fit) if fit else ())}
        expected = [done.get(change.id, change) for change in expected]
    return _answer(args, store, rule, expected, waiting)


def chosen(args: argparse.Namespace, rule: Rule, now: int) -> Filter:
    """The jobs that the options choose, of those the verb is for. Raises BadInput if they
    choose none."""
    if not is_filtered(args):
        raise BadInput(f"which jobs to {rule.verb}?", rule.choices)
    which = filter_of(args, now)
    if not which.states:
        return which.replace(states=rule.states)
    if rule.strict and not set(which.states) <= set(rule.states):
        raise BadInput(f"{rule.verb} is for jobs that are {' or '.join(rule.states)}")
    return which


def in_parts(store: Store, do: Do, ids: Sequence[str]) -> list[Change]:
    """Do it to jobs that were found a moment ago, some at a time; those gone are left out."""
    changes: list[Change] = []
    for start in range(0, len(ids), _AT_ONCE):
        if start:
            store.give_way()
        changes += _those_left(do, ids[start : start + _AT_ONCE])
    return changes


def _answer(
    args: argparse.Namespace,
    store: Store,
    rule: Rule,
    changes: Sequence[Change],
    waiting: Waiting,
) -> int:
    """Print what was done to each job; the exit code is 4 if some were past the verb."""
    refused = [change for change in changes if change.result == "refused"]
    if args.json:
        out_json([dict(change.items()) for change in changes])
    else:
        for change in changes:
            if change.result != "refused":
                out(_line(change, rule, dry=args.dry_run))
        if rule.verb == RETRY:
            _say_why_not(args, store, refused)
        else:
            for change in refused:
                note(f"{change.id} is {change.state}: skipped")
            _say_how_to_delete(rule, [c.id for c in refused if c.state == PROCESSING])
        _name_waiting(changes, waiting, dry=args.dry_run)
        if not changes:
            note("no job fits")
    return REFUSED if refused else DONE


def _say_how_to_delete(rule: Rule, running: Sequence[str]) -> None:
    if rule.verb == DELETE and 0 < len(running) <= _IDS_IN_A_HINT:
        words = " ".join(running)
        note(f"  try: queuectl cancel {words}, then queuectl delete {words}")


def _say_why_not(args: argparse.Namespace, store: Store, refused: Sequence[Change]) -> None:
    """Name the jobs that were not retried, what is in the way, and what to type instead."""
    from queuectl.cli.aftermath import find, needs_first, waits_in_vain
    from queuectl.cli.newjobs import typed_settings

    settings = typed_settings(args)
    jobs: list[Job] = []
    waiting: list[str] = []
    for change in refused:
        because = ""
        job = find(store, change.id)
        # a retry would start at once what was put off
        if job is not None and job.state == PENDING and job.run_at is None:
            waiting.append(job.id)
        if job is not None and job.state not in (PENDING, PROCESSING):
            jobs.append(job)
            for need in waits_in_vain(store, job.after)[:1]:
                because = f"; it waits for {need.id}, which is {need.state}"
        note(f"{change.id} is {change.state}: skipped{because}")
    others = needs_first(store, jobs)
    ids = [*others, *[job.id for job in jobs]]
    again = any(job.state == COMPLETED for job in jobs)
    if ids and (again or len(ids) <= _IDS_IN_A_HINT):
        words = " ".join(ids) if len(ids) <= _IDS_IN_A_HINT else "…"
        options = ("--again " if again else "") + ("" if others else settings)
        note(f"  try: queuectl retry {options}{words}")
    needed = store.dependants(waiting) if settings else {}  # a cancel would end these others
    waiting = [job_id for job_id in waiting if job_id not in needed]
    if settings and 0 < len(waiting) <= _IDS_IN_A_HINT:
        words = " ".join(waiting)
        note(f"  try: queuectl cancel {words}, then queuectl retry {settings}{words}")


def _waiting(args: argparse.Namespace, store: Store, rule: Rule, ids: Sequence[str]) -> Waiting:
    """Who waits for whom, from these jobs on, if that is to be told."""
    return store.dependants(ids) if rule.ends_waiting and ids and not args.json else {}


def _name_waiting(changes: Sequence[Change], waiting: Waiting, *, dry: bool) -> None:
    """Name the jobs that are cancelled because those they waited for are, or go."""
    roots = [change.id for change in changes if change.result == "done"]
    named = {change.id for change in changes}
    met = dict.fromkeys(roots)
    rest = list(roots)
    for job_id in rest:
        new = [child for child in waiting.get(job_id, ()) if child not in met]
        met.update(dict.fromkeys(new))
        rest += new
    others = [job_id for job_id in met if job_id not in named]
    if not others:
        return
    from queuectl.cli.screens.layout import count

    one = len(others) == 1
    whom = "it" if len(roots) == 1 else "them"
    if dry:
        fate = f"{'waits' if one else 'wait'} for {whom} would be"
    else:
        fate = f"waited for {whom} {'is' if one else 'are'}"
    listed = ", ".join(others[:_WAITING_NAMED])
    more = len(others) - _WAITING_NAMED
    tail = f" and {more:,} more" if more > 0 else ""
    note(f"{count(len(others), 'job')} that {fate} cancelled too: {listed}{tail}")


def _line(change: Change, rule: Rule, *, dry: bool) -> str:
    if change.result == "already":
        return f"{change.id} is {change.state} already"
    if dry:
        return f"would {rule.verb} {change.id} ({change.state})"
    return f"{change.id} {rule.done} (was {change.state})"


def _brief(job: Job) -> _Brief:
    return _Brief(job.id, job.state, job.seq, job.after)


def _foreseen(store: Store, jobs: Sequence[_Brief], rule: Rule) -> list[Change]:
    """What the verb would do to each of the jobs."""
    from queuectl.cli.aftermath import waits_in_vain

    expected: dict[str, Change] = {}
    revived: set[str] = set()
    for job in sorted(jobs, key=lambda job: job.seq):
        result = _expected(job.state, rule)
        if rule.verb == RETRY and result == "done":
            if any(need.id not in revived for need in waits_in_vain(store, job.after)):
                result = "refused"
            else:
                revived.add(job.id)
        expected[job.id] = Change(job.id, job.state, result)
    return [expected[job.id] for job in jobs]


def _expected(state: str, rule: Rule) -> str:
    if state in rule.already:
        return "already"
    return "done" if state in rule.states else "refused"


def _those_left(do: Do, ids: Sequence[str]) -> list[Change]:
    """Jobs that were found may be gone by now."""
    try:
        return do(ids)
    except JobNotFound:
        if len(ids) == 1:
            return []
        return [change for job_id in ids for change in _those_left(do, [job_id])]


def all_but(*states: str) -> tuple[str, ...]:
    """Every other state."""
    return tuple(state for state in STATES if state not in states)
