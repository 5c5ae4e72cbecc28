"""Points in time as people and JSON write them and read them; milliseconds UTC inside.

Nothing but `time` is imported until a time is parsed.
"""

from __future__ import annotations

import time

from queuectl.errors import BadInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime

_DATE_HINT = "2026-01-31T09:00:00Z, 2026-01-31T09:00:00+01:00 or 2026-01-31 09:00"


def parse_instant(
    text: str, what: str, *, local: bool = False, now: int | None = None, past: bool = False
) -> int:
    """ISO 8601 -> ms: `2026-01-31T09:00:00.5Z`, an offset instead of `Z`, a space instead of
    `T`, seconds or the whole time of day left out.

    Without an offset it is UTC, or local time if `local`. If `now` is given too, a plain
    `09:00` is the next time that clocks here show it, or if `past` the last. Raises BadInput
    that names `what`.
    """
    word = text.strip().upper()
    try:
        if now is not None and len(word) in (5, 8) and word[2] == ":":
            return _time_of_day(word, now, past=past)
        return _ms(_moment(word), local=local)
    except (ValueError, OverflowError, OSError):
        hint = _DATE_HINT if now is None else f"{_DATE_HINT} or 09:00"
        raise BadInput(f"{what} is no time: {text!r}", hint) from None


def _moment(word: str) -> datetime:
    """What fits the form; `fromisoformat` alone would take weeks and more."""
    from datetime import datetime

    if len(word) < 10 or word[4] != "-" or word[7] != "-" or not word.isascii():
        raise ValueError
    if len(word) > 10:
        clock = word[11:].rstrip("Z")
        if word[10] not in "T " or clock[2:3] != ":" or " " in clock:
            raise ValueError
    return datetime.fromisoformat(word)


def _ms(moment: datetime, *, local: bool) -> int:
    from datetime import UTC, datetime, timedelta

    if moment.tzinfo is None and not local:
        moment = moment.replace(tzinfo=UTC)
    # Overflows where UTC has no such year: what was written could not be shown.
    moment = moment.astimezone(UTC)
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def _time_of_day(word: str, now: int, *, past: bool) -> int:
    from datetime import datetime, timedelta
    from datetime import time as time_of_day

    here = datetime.fromtimestamp(now / 1000)
    moment = datetime.combine(here.date(), time_of_day.fromisoformat(word))
    if past and moment > here:
        moment -= timedelta(days=1)
    elif not past and moment <= here:
        moment += timedelta(days=1)
    return _ms(moment, local=True)


def iso(ms: int) -> str:
    """ISO 8601 in UTC with milliseconds: `2026-01-31T09:00:00.000Z`."""
    seconds, rest = divmod(ms, 1000)
    year, month, day, hour, minute, second = time.gmtime(seconds)[:6]
    return f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}.{rest:03d}Z"


def local_time(ms: int) -> str:
    """For people: `2026-01-31 10:00:00 CET`."""
    here = time.localtime(ms // 1000)
    return time.strftime(f"{here.tm_year:04d}-%m-%d %H:%M:%S %Z", here).rstrip()
