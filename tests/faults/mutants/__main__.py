"""`python -m tests.faults.mutants [WORD …]`: take out each guard in turn; some test must fail.

A mutant is applied to a copy of the tree, and the tests that ought to
notice are run there. Words choose mutants by file or name. Prints a table in Markdown, which
without words also goes into docs/guarantees.md; 1 if any survived.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

from . import MUTANTS
from .mutant import Mutant

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
_PAGE = os.path.join(ROOT, "docs", "guarantees.md")
_BEGIN = "<!-- make mutants: begin -->\n"
_END = "<!-- make mutants: end -->\n"
_TIMEOUT = 400
_AT_ONCE = 2


def chosen(words: list[str]) -> list[Mutant]:
    """Those whose file or name has one of the words; all without words."""
    return [
        mutant
        for mutant in MUTANTS
        if not words or any(word in f"{mutant.file} {mutant.name}" for word in words)
    ]


def copy_tree(folder: str) -> str:
    """A copy to maim."""
    for name in ("src", "tests"):
        shutil.copytree(
            os.path.join(ROOT, name),
            os.path.join(folder, name),
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    shutil.copy(os.path.join(ROOT, "pyproject.toml"), folder)
    return folder


def apply(mutant: Mutant, root: str) -> str:
    """Maim the copy; what the file was before."""
    path = os.path.join(root, mutant.file)
    with open(path, encoding="utf-8") as file:
        before = file.read()
    if before.count(mutant.old) != 1:
        raise LookupError(f"{mutant.name}: its text stands {before.count(mutant.old)} times")
    with open(path, "w", encoding="utf-8") as file:
        file.write(before.replace(mutant.old, mutant.new))
    return before


def run_tests(tests: str, root: str) -> tuple[bool, str]:
    """Whether they pass, and the first that did not."""
    for arguments in tests.split(";"):
        passed, failed = _run_pytest(arguments, root)
        if not passed:
            return False, failed
    return True, ""


def _run_pytest(arguments: str, root: str) -> tuple[bool, str]:
    words = ["-q", "-x", "-p", "no:cacheprovider", "--no-header", "-rfE"]
    with subprocess.Popen(
        [sys.executable, "-m", "pytest", *words, *shlex.split(arguments)],
        cwd=root,
        env=os.environ | {"PYTHONPATH": os.path.join(root, "src")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as child:
        try:
            said, _none = child.communicate(timeout=_TIMEOUT)
        except subprocess.TimeoutExpired:
            child.terminate()
            child.communicate()
            return False, "(hangs)"
    if child.returncode not in (0, 1):
        raise RuntimeError(f"pytest {arguments}: {said[-2000:]}")
    failed = [
        line.split("::")[-1].split(" - ")[0]
        for line in said.splitlines()
        if line.startswith(("FAILED", "ERROR "))
    ]
    return child.returncode == 0, failed[0] if failed else "(ends)"


def main(words: list[str]) -> int:
    """Try the mutants that the words choose, two at a time."""
    copies: SimpleQueue[str] = SimpleQueue()
    survivors = 0
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        for number in range(_AT_ONCE):
            copies.put(copy_tree(os.path.join(folder, str(number))))

        def attempt(mutant: Mutant) -> tuple[Mutant, bool, str]:
            root = copies.get()
            before = apply(mutant, root)
            try:
                return mutant, *run_tests(mutant.tests, root)
            finally:
                with open(os.path.join(root, mutant.file), "w", encoding="utf-8") as file:
                    file.write(before)
                copies.put(root)

        lines = ["| taken out | in | noticed by |", "|---|---|---|"]
        print("\n".join(lines), flush=True)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for mutant, survived, noticed in pool.map(attempt, chosen(words)):
                survivors += survived
                place = mutant.file.removeprefix("src/queuectl/")
                by = "**nobody**" if survived else f"`{noticed}`"
                lines.append(f"| {mutant.name} | `{place}` | {by} |")
                print(lines[-1], flush=True)
    total = len(chosen(words))
    minutes = (time.monotonic() - began) / 60
    summary = f"{total - survivors} of {total} were noticed, in {minutes:.0f} minutes."
    print(f"\n{summary}")
    if not words:
        keep([summary, "", *lines])
    return 1 if survivors else 0


def keep(lines: list[str]) -> None:
    """Put the result into its place in docs/guarantees.md."""
    with open(_PAGE, encoding="utf-8") as file:
        before, begin, rest = file.read().partition(_BEGIN)
    _old, end, after = rest.partition(_END)
    if not end:
        raise LookupError(f"{_PAGE} has no place for the result: {_BEGIN}{_END}")
    with open(_PAGE, "w", encoding="utf-8") as file:
        file.write(before + begin + "\n".join(["", *lines, "", ""]) + end + after)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
