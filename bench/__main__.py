"""`python -m bench [NAME …]`: measure, print the table, write bench/README.md."""

from __future__ import annotations

import argparse
import compileall
import importlib
import json
import os
import platform
import sys
import tempfile
import time

import apsw

import queuectl
from bench.measure import Row

_HERE = os.path.dirname(os.path.abspath(__file__))
_RESULTS = os.path.join(_HERE, "results.json")
_README = os.path.join(_HERE, "README.md")
_THEMES = (
    "drain",
    "output",
    "startup",
    "bulk",
    "latency",
    "idle",
    "memory",
    "history",
    "contention",
    "slots",
)
_OPTIONAL = ("peers", "fleet")
_QUIET = 0.1
_HEAD = ("what", "figure", "middle half", "goal", "", "medians")
_MARKS = {True: "✓", False: "✗", None: ""}


def main() -> int:
    """Run the themes that were named, or all that need nothing installed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", metavar="NAME", nargs="*", help=", ".join(_THEMES + _OPTIONAL))
    parser.add_argument("--no-write", action="store_true", help="leave README.md as it is")
    args = parser.parse_args()
    unknown = set(args.names) - {*_THEMES, *_OPTIONAL}
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}")
    for name in [name for name in os.environ if name.startswith("QUEUECTL_")]:
        del os.environ[name]
    # As pip leaves it; some environments (PYTHONDONTWRITEBYTECODE) would never have it.
    compileall.compile_dir(os.path.dirname(queuectl.__file__), quiet=1)
    results = _stored()
    for name in args.names or _THEMES:
        began, others = time.time(), _others()
        print(f"\n{name} …", flush=True)
        rows = importlib.import_module(f"bench.{name}").run_all()
        print("\n".join(_table(rows)), flush=True)
        results[name] = {
            "date": time.strftime("%Y-%m-%d %H:%M", time.gmtime(began)),
            "seconds": round(time.time() - began),
            "others": round((_others() - others) / (time.time() - began), 2),
            "machine": _machine(),
            "rows": rows,
        }
        if not args.no_write:
            with open(_RESULTS, "w", encoding="utf-8") as file:
                json.dump(results, file, ensure_ascii=False, indent=1)
            with open(_README, "w", encoding="utf-8") as file:
                file.write(_readme(results))
    return 0


def _stored() -> dict[str, dict]:
    try:
        with open(_RESULTS, encoding="utf-8") as file:
            found = json.load(file)
    except FileNotFoundError:
        return {}
    for result in found.values():
        result["rows"] = [Row(*row) for row in result["rows"]]
    return found


def _table(rows: list[Row]) -> list[str]:
    lines = [_HEAD] + [
        (r.what, r.figure, r.spread, r.goal, _MARKS[r.met], r.beside) for r in rows
    ]
    widths = [max(len(line[i]) for line in lines) for i in range(len(_HEAD))]
    padded = [[cell.ljust(w) for cell, w in zip(line, widths, strict=True)] for line in lines]
    padded.insert(1, ["-" * width for width in widths])
    return [f"| {' | '.join(line)} |" for line in padded]


def _readme(results: dict[str, dict]) -> str:
    parts = [
        "# Figures",
        "",
        "Written by `make bench` (`make bench NAME=drain` measures one theme and leaves the",
        "others as they were). Every figure is a ratio against something that ran beside it,",
        "interleaved; medians of 7 for drains and of 30 for whole processes, with the middle",
        "half of the values. Where other processes took more than a tenth of a core meanwhile,",
        "the figures are marked as preliminary.",
    ]
    for name in _THEMES + _OPTIONAL:
        if name not in results:
            continue
        result = results[name]
        module = importlib.import_module(f"bench.{name}")
        parts += [
            "",
            f"## {name}",
            "",
            str(module.__doc__).strip(),
            "",
            *_table(result["rows"]),
            "",
            ("**Preliminary:** " if result["others"] > _QUIET else "")
            + f"{result['date']} UTC, {result['seconds']} s, others took"
            f" {result['others']} cores. {result['machine']}",
        ]
    return "\n".join(parts) + "\n"


def _others() -> float:
    """Seconds of CPU that everything but this process and its children has used."""
    with open("/proc/stat", encoding="utf-8") as file:
        user, nice, system, _idle, _wait, irq, soft, steal = map(
            int, file.readline().split()[1:9]
        )
    ticks = user + nice + system + irq + soft + steal
    return ticks / os.sysconf("SC_CLK_TCK") - sum(os.times()[:4])


def _machine() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        models = [line.partition(":")[2].strip() for line in file if "model name" in line]
    return (
        f"{models[0] if models else platform.machine()}, {os.cpu_count()} cores,"
        f" Linux {platform.release()}, Python {platform.python_version()},"
        f" SQLite {apsw.sqlite_lib_version()}, fsync {_fsync() * 1000:.2f} ms."
    )


def _fsync() -> float:
    """Seconds of the median write of a page with fsync, where the stores lie."""
    taken = []
    with tempfile.TemporaryFile() as file:
        for _ in range(50):
            began = time.perf_counter()
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
            taken.append(time.perf_counter() - began)
    return sorted(taken)[25]


if __name__ == "__main__":
    sys.exit(main())
