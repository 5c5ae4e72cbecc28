"""What cancel, retry, delete and purge share: which jobs, what was done, the exit code."""

from __future__ import annotations

from queuectl.cli.context import note, out, out_json
from queuectl.cli.filters import add_filters, filter_of, is_filtered
from queuectl.cli.parser import json_option
from queuectl.errors import DONE, REFUSED, BadInput, JobNotFound
from queuectl.model import STATES, Change
from queuectl.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from queuectl.store.base import Store

    Do = Callable[[Sequence[str]], list[Change]]

_AT_ONCE = 500


class Rule(Record):
    """Which states a verb is for, and how what it did is said."""

    verb: str
    done: str
    states: tuple[str, ...]
    already: tuple[str, ...] = ()
    strict: bool = False
    """The store's own operation takes more states than the verb does."""


def add_targets(parser: argparse.ArgumentParser) -> None:
    """Declare ids, the filters of `list` and `--dry-run`."""
    parser.add_argument("ids", metavar="ID", nargs="*", help="the jobs")
    add_filters(parser)
    parser.add_argument("--dry-run", action="store_true", help="list them, change nothing")
    json_option(parser)


def act(args: argparse.Namespace, store: Store, rule: Rule, do: Do, now: int) -> int:
    """Do it to the jobs that the arguments name; print what was done, return the exit code.

    Raises BadInput if they name none, JobNotFound before any change.
    """
    if args.ids:
        if is_filtered(args):
            raise BadInput("either ids or options that choose jobs, not both")
        ids = list(dict.fromkeys(args.ids))
        if args.dry_run or rule.strict:
            return answer(args, rule, _checked(store, ids, rule, do, dry=args.dry_run))
        return answer(args, rule, do(ids))
    if not is_filtered(args):
        raise BadInput(
            f"which jobs to {rule.verb}?", "ids, or --state, --queue, --tag, --since"
        )
    which = filter_of(args, now)
    if not which.states:
        which = which.replace(states=rule.states)
    elif rule.strict and not set(which.states) <= set(rule.states):
        raise BadInput(f"{rule.verb} is for jobs that are {' or '.join(rule.states)}")
    jobs = store.list_jobs(which)
    if args.dry_run:
        return answer(
            args, rule, [Change(job.id, job.state, _expected(job.state, rule)) for job in jobs]
        )
    changes: list[Change] = []
    for start in range(0, len(jobs), _AT_ONCE):
        changes += _those_left(do, [job.id for job in jobs[start : start + _AT_ONCE]])
    return answer(args, rule, changes)


def answer(args: argparse.Namespace, rule: Rule, changes: Sequence[Change]) -> int:
    """Print what was done to each job; the exit code is 4 if some were past the verb."""
    refused = [change for change in changes if change.result == "refused"]
    if args.json:
        out_json([dict(change.items()) for change in changes])
    else:
        for change in changes:
            if change.result != "refused":
                out(_line(change, rule, dry=args.dry_run))
        for change in refused:
            note(f"{change.id} is {change.state}: skipped")
        if not changes:
            note("no job fits")
    return REFUSED if refused else DONE


def _line(change: Change, rule: Rule, *, dry: bool) -> str:
    if change.result == "already":
        return f"{change.id} is {change.state} already"
    if dry:
        return f"would {rule.verb} {change.id} ({change.state})"
    return f"{change.id} {rule.done} (was {change.state})"


def _checked(
    store: Store, ids: Sequence[str], rule: Rule, do: Do, *, dry: bool
) -> list[Change]:
    """Only those whose state the verb is for go to the store."""
    expected = [
        Change(job_id, state, _expected(state, rule))
        for job_id, state in [(job_id, store.get(job_id).state) for job_id in ids]
    ]
    if dry:
        return expected
    fit = [change.id for change in expected if change.result == "done"]
    done = {change.id: change for change in (do(fit) if fit else ())}
    return [done.get(change.id, change) for change in expected]


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
