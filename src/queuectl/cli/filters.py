"""The options that say which jobs: one spelling for every verb that takes them."""

from __future__ import annotations

from queuectl.cli.parser import whole_number
from queuectl.durations import parse_duration
from queuectl.errors import BadInput
from queuectl.model import STATES, Filter

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


def add_filters(parser: argparse.ArgumentParser, *, by_state: bool = True) -> None:
    """Declare `--state` (unless the verb itself stands for one), `--queue`, `--tag`, `--since`
    and `--limit`."""
    parser.set_defaults(state=None)
    if by_state:
        parser.add_argument(
            "--state",
            metavar="S,…",
            action="append",
            type=_states,
            help="only jobs in these states: " + ", ".join(STATES),
        )
    parser.add_argument("--queue", metavar="Q", help="only jobs of this queue")
    parser.add_argument("--tag", metavar="T", help="only jobs with this tag")
    parser.add_argument(
        "--since", metavar="D", help="only jobs enqueued since: 2h, 1d, 09:00 or a date"
    )
    parser.add_argument(
        "--limit",
        metavar="N|all",
        type=_limit,
        default=UNSET,
        help="the newest N at most, or all there are",
    )


UNSET = -1
"""`--limit` was not given."""


def filter_of(args: argparse.Namespace, now: int, *, limit: int | None = None) -> Filter:
    """The filter that the options describe; `limit` is the verb's own where none was given.

    Raises BadInput.
    """
    return Filter(
        states=states_of(args),
        queue=args.queue,
        tag=args.tag,
        since=None if args.since is None else moment(args.since, now, "--since"),
        limit=limit if args.limit == UNSET else args.limit,
    )


def states_of(args: argparse.Namespace) -> tuple[str, ...]:
    """The states of all `--state` options, each once; empty for any."""
    return tuple(dict.fromkeys(state for states in args.state or () for state in states))


def is_filtered(args: argparse.Namespace) -> bool:
    """Whether any of the options was given."""
    return (
        any(value is not None for value in (args.state, args.queue, args.tag, args.since))
        or args.limit != UNSET
    )


def moment(text: str, now: int, what: str) -> int:
    """A time in the past: so long ago (`2h`), or as `parse_instant` reads it, a time of day
    being the last such time; ms."""
    from queuectl.instants import parse_instant

    try:
        return now - round(parse_duration(text, what) * 1000)
    except BadInput:
        pass
    try:
        return parse_instant(text, what, local=True, now=now, past=True)
    except BadInput:
        raise BadInput(
            f"{what} is no length of time and no time: {text!r}",
            "2h, 1d, 09:00 or 2026-01-31 09:00",
        ) from None


def _states(text: str) -> list[str]:
    words = [word.strip().lower() for word in text.split(",")]
    for word in words:
        if word not in STATES:
            from queuectl.cli.commands import nearest

            near = nearest(word, STATES)
            raise BadInput(
                f"there is no state {word!r}",
                f"did you mean {near}?" if near else ", ".join(STATES),
            )
    return words


def _limit(text: str) -> int | None:
    return None if text.strip().lower() == "all" else whole_number("--limit", 0)(text)
