"""argparse without gettext, whose import takes a third of what argparse's own takes, for
words that queuectl has in English only."""

from __future__ import annotations

import sys
from types import ModuleType


def _of_many(one: str, many: str, n: int) -> str:
    return one if n == 1 else many


_nothing = ModuleType("gettext")
vars(_nothing).update(gettext=str, ngettext=_of_many)
_before = sys.modules.get("gettext")
sys.modules["gettext"] = _nothing
try:
    import argparse as argparse  # noqa: PLC0414 - to be imported from here
finally:
    del sys.modules["gettext"]
    if _before is not None:
        sys.modules["gettext"] = _before
