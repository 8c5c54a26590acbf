"""Reading and writing records, in memory and in a file, beside the same work by hand with `sqlite3`, in one run.

Companies of several sizes are made once, by the bulk load that is measured, and kept for the run (or in `--folder`).
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import platform
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import company
from baselines import storage_sqlite3
from measuring import exponent, medians_of, once

import keyaccount as ka
from keyaccount.catalogue import kind_of
from keyaccount.queries import Query, Totals, Window
from keyaccount.storage.memory import MemoryStorage
from keyaccount.storage.sqlite import SQLiteStorage

IN_MEMORY, WHOLE = 10_000, 100_000
CONTEXT, SECTOR = "documents.invoice", "sector 3"
YEARS = [date(year, 1, 1) for year in range(2021, 2027)]
CONSTANT, LINEAR = 0.15, 1.15
EVERY = "[getattr(ka, name) for name in ka.__all__]"

JOBS: dict[str, tuple[str, str | None]] = {
    "bulk load": ("linear", "3 x raw executemany"),
    "put": ("constant", None),
    "get, trusted": ("constant", "3 x raw select and object"),
    "get": ("constant", "3 x raw select and object"),
    "get by ref": ("constant", None),
    "find 50 of a sector": ("constant", None),
    "list 50, open": ("constant", None),
    "list 50, closed, few": ("constant", None),
    "list 50, closed, 2 %": ("linear", None),
    "may": ("constant", "2 x its statements"),
    "notes": ("constant", "2 x its statements"),
    "notes_for 1,000": ("constant", None),
    "card": ("constant", None),
    "caller": ("constant", None),
    "count": ("linear", None),
    "totals in 5 windows": ("linear", None),
}
"""What is measured, how it may grow with the number of accounts, and what quality.md allows beside the hand-written."""

WHY = {
    "put": "a commit waits for the disk; by hand it waits as long",
    "notes_for 1,000": "up to 1,000 accounts it answers for all there are",
}
"""Explanations of what grows otherwise than expected."""


# ---- measuring ---------------------------------------------------------------------------------------------------


# ---- the questions -----------------------------------------------------------------------------------------------


def clock() -> datetime:
    """Tell the same moment each time."""
    return datetime.combine(company.TODAY, datetime.min.time(), UTC)


def filled(storage: Any, size: int) -> float:
    """Make a company; return how long the load of its accounts and assignments took, validation included."""
    book = ka.Book(storage, region="DE", clock=clock)
    office = book.trusted("benchmark")
    office.put(*company.staff())
    accounts = itertools.chain(company.organisations(size), company.assignments(size))
    seconds = once(lambda: office.put_many(accounts))
    if size <= WHOLE:
        office.put_many(company.around(size))
    return seconds


def ours(storage: Any, size: int) -> dict[str, Callable[[], object]]:
    """Return the jobs, asked of the library."""
    opened = ka.Book(storage, region="DE", clock=clock)
    closed = ka.Book(storage, region="DE", clock=clock, policy=ka.AccessPolicy(default=None))
    user, two_percent, few = opened.desk("p7"), closed.desk("p7"), closed.desk("few")
    office, numbers, fresh = opened.trusted("benchmark"), mine(size), itertools.count()
    some = [company.organisation_id(n) for n in range(min(size, 1_000))]
    organisation, run = ka.Organisation, f"{os.getpid()}-{time.time_ns()}"
    invoices = Query(kind_of(ka.Invoice))
    windows = [Window("issued_on", start, end) for start, end in itertools.pairwise(YEARS)]

    def totals() -> list[tuple[int, int]]:
        with storage.unit(write=False) as unit:
            (found,) = unit.totals(invoices, Totals(windows=windows, sums=("net_units",)))
            return [(count, sums[0]) for count, sums in zip(found.counts, found.sums, strict=True)]

    return {
        "put": lambda: office.put(organisation(f"x{run}-{next(fresh)}", name="X", phones=("+49 40 1",))),
        "get, trusted": lambda: office.get(organisation, company.organisation_id(next(numbers))),
        "get": lambda: user.get(organisation, company.organisation_id(next(numbers))),
        "get by ref": lambda: user.get(organisation, ref=("erp", f"res.partner/{next(numbers)}")),
        "find 50 of a sector": lambda: tuple(user.find(organisation, sector=SECTOR, order="name", limit=50)),
        "list 50, open": lambda: tuple(user.find(organisation, order="name", limit=50)),
        "list 50, closed, few": lambda: tuple(few.find(organisation, order="name", limit=50)),
        "list 50, closed, 2 %": lambda: tuple(two_percent.find(organisation, order="name", limit=50)),
        "may": lambda: user.may(company.organisation_id(next(numbers))),
        "notes": lambda: user.notes(organisation=company.organisation_id(next(numbers)), context=CONTEXT),
        "notes_for 1,000": lambda: user.notes_for(organisations=some, context=CONTEXT),
        "card": lambda: user.card(organisation=company.organisation_id(next(numbers)), context=CONTEXT),
        "caller": lambda: user.caller(company.number(next(numbers))),
        "count": lambda: user.count(organisation),
        "totals in 5 windows": totals,
    }


def by_hand(path: Path, size: int) -> dict[str, Callable[[], object]]:
    """Return the jobs that have a hand-written form."""
    user = storage_sqlite3.ByHand(path, "p7", company.TODAY.isoformat())
    few = storage_sqlite3.ByHand(path, "few", company.TODAY.isoformat())
    numbers, fresh, run = mine(size), itertools.count(), f"{os.getpid()}-{time.time_ns()}"
    pattern = user.connection.execute("SELECT * FROM organisation LIMIT 1").fetchone()

    def put() -> None:
        id = f"y{run}-{next(fresh)}"
        keys = [("Organisation", "phones", "+49 40 1", id), ("Organisation", "phones.dialled", "4:4940", id)]
        user.put((id, *pattern[1:]), [*keys, ("Organisation", "relationships", "customer", id)])

    return {
        "put": put,
        "get, trusted": lambda: user.get_trusted(company.organisation_id(next(numbers))),
        "get": lambda: user.get(company.organisation_id(next(numbers))),
        "get by ref": lambda: user.by_ref("erp", f"res.partner/{next(numbers)}"),
        "find 50 of a sector": lambda: user.find(SECTOR, 50),
        "list 50, open": lambda: user.list_open(50),
        "list 50, closed, few": lambda: few.list_closed(50),
        "list 50, closed, 2 %": lambda: user.list_closed(50),
        "may": lambda: user.may(company.organisation_id(next(numbers))),
        "notes": lambda: user.notes(company.organisation_id(next(numbers)), CONTEXT),
        "count": user.count,
        "totals in 5 windows": lambda: user.totals([day.isoformat() for day in YEARS]),
    }


def mine(size: int) -> Iterator[int]:
    """Yield accounts that user p7 manages and that are not private, another each time, from all over the table."""
    some = [n for n in range(7, size, company.USERS) if n % 100]
    return itertools.cycle(some[:: max(1, len(some) // 977)])


def agreed(own: dict[str, Callable[[], Any]], hand: dict[str, Callable[[], Any]]) -> None:
    """Check that both answer the same before they are measured."""
    for name in ("list 50, open", "list 50, closed, few", "list 50, closed, 2 %", "find 50 of a sector"):
        assert [row.id for row in own[name]()] == [row.id for row in hand[name]()], name
    for name in ("get, trusted", "get", "get by ref"):
        left, right = own[name](), hand[name]()
        assert (left.name, dict(left.refs), left.phones) == (right.name, right.refs, tuple(right.phones)), name
    assert own["count"]() == hand["count"]()
    if "totals in 5 windows" in own:
        assert own["totals in 5 windows"]() == hand["totals in 5 windows"]()
        assert [note.id for note in own["notes"]()] == [note["id"] for note in hand["notes"]()]


# ---- the run -----------------------------------------------------------------------------------------------------


def measure_file(folder: Path, size: int, wanted: Callable[[str], bool], note: Callable[..., None]) -> None:
    """Measure one size in a file."""
    path, twin = folder / f"company-{size}.db", folder / f"company-{size}-by-hand.db"
    told = folder / f"company-{size}.json"
    if not told.exists():
        for left in (path, twin):
            left.unlink(missing_ok=True)
        seconds = filled(SQLiteStorage(path), size)
        told.write_text(json.dumps({"load": seconds, "by hand": raw_load(path, twin)}))
    load = json.loads(told.read_text())
    if wanted("bulk load"):
        note("bulk load", "file", size, load["load"], load["by hand"])
    storage = SQLiteStorage(path)
    own, hand = ours(storage, size), by_hand(twin, size)
    if size > WHOLE:
        for name in ("notes", "notes_for 1,000", "card", "totals in 5 windows"):
            own.pop(name), hand.pop(name, None)
    agreed(own, hand)
    for name, call in own.items():
        if wanted(name) and name != "put":
            seconds, *beside = medians_of(call, *([hand[name]] if name in hand else []))
            note(name, "file", size, seconds, next(iter(beside), None))
    if wanted("put"):
        note("put", "file", size, *measure_put(path, twin, size))


def measure_put(path: Path, twin: Path, size: int) -> list[float]:
    """Measure writing on copies, so that the companies stay as they are for the next run."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        own, hand = Path(folder) / "own.db", Path(folder) / "hand.db"
        shutil.copy(path, own)
        shutil.copy(twin, hand)
        return medians_of(ours(SQLiteStorage(own), size)["put"], by_hand(hand, size)["put"])


def raw_load(path: Path, twin: Path) -> float:
    """Load the rows of accounts and assignments by hand; the others follow unmeasured, so that the twin is the same."""
    made, rows = storage_sqlite3.copy_rows(path)
    accounts = {name: rows.pop(name) for name in ("organisation", "assignment")}
    items = rows.pop("item")
    accounts["item"] = [row for row in items if row[0] == "Organisation"]
    rows["item"] = [row for row in items if row[0] != "Organisation"]
    seconds = once(lambda: storage_sqlite3.load(twin, made, accounts))
    storage_sqlite3.load(twin, [], rows)
    return seconds


def measure_memory(size: int, wanted: Callable[[str], bool], note: Callable[..., None]) -> None:
    """Measure one size in memory."""
    storage = MemoryStorage()
    seconds = filled(storage, size)
    if wanted("bulk load"):
        note("bulk load", "memory", size, seconds, None)
    for name, call in ours(storage, size).items():
        if wanted(name):
            note(name, "memory", size, medians_of(call)[0], None)


def import_seconds(*modules: str) -> list[float]:
    """Return how long a fresh process takes to import each module, medians of nine, taking turns."""
    rounds: list[list[float]] = [[] for _ in modules]
    for _ in range(9):
        for module, found in zip(modules, rounds, strict=True):
            program = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
            run = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)  # noqa: S603
            found.append(float(run.stdout))
    return [statistics.median(found) for found in rounds]


def verdict(name: str, where: str, points: dict[int, float], ratios: list[float]) -> str:
    """Say what was expected and whether it held; in memory everything is looked through, for it is the reference."""
    growth, target = JOBS[name]
    growth = "linear" if where == "memory" else growth
    limit = CONSTANT if growth == "constant" else LINEAR
    found = exponent(points)
    said = [
        f"{growth} (<= {limit})"
        + ("" if found is None or found <= limit else f": ABOVE; {WHY.get(name, 'not explained')}")
    ]
    if target and ratios:
        said.append(f"{target}: {'held' if ratios[-1] <= int(target[0]) else 'MISSED'}")
    return "; ".join(said)


def printed(figures: list[dict[str, Any]], sizes: list[int]) -> None:
    """Print a line for each job and storage."""
    print(
        f"{'microseconds':22}{'in':8}"
        + "".join(f"{size:>12,}" for size in sizes)
        + f"{'exponent':>10}{'ratio':>8}  expected"
    )
    for name in JOBS:
        for where in ("file", "memory"):
            some = [row for row in figures if (row["job"], row["in"]) == (name, where)]
            points = {row["size"]: row["seconds"] for row in some}
            if not points:
                continue
            ratios = [row["seconds"] / row["by_hand"] for row in some if row["by_hand"]]
            cells = "".join(f"{points[s] * 1e6:12,.0f}" if s in points else f"{'-':>12}" for s in sizes)
            fitted, ratio = exponent(points), f"{ratios[-1]:.1f}" if ratios else "-"
            print(f"{name:22}{where:8}{cells}{'-' if fitted is None else f'{fitted:.2f}':>10}{ratio:>8}  ", end="")
            print(verdict(name, where, points, ratios), flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="1000,10000,100000", help="numbers of accounts; 1000000 takes its minutes")
    parser.add_argument("--only", default="", help="jobs whose names begin so, separated by commas")
    parser.add_argument("--folder", type=Path, help="keep the companies here, for the next run")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    sizes = sorted(int(size) for size in given.sizes.split(","))
    only = tuple(filter(None, given.only.split(",")))
    figures: list[dict[str, Any]] = []

    def wanted(name: str) -> bool:
        return not only or name.startswith(only)

    def note(name: str, where: str, size: int, seconds: float, by_hand_seconds: float | None) -> None:
        figures.append({"job": name, "in": where, "size": size, "seconds": seconds, "by_hand": by_hand_seconds})

    with contextlib.ExitStack() as stack:
        folder = given.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        for size in sizes:
            measure_file(folder, size, wanted, note)
            if size <= IN_MEMORY:
                measure_memory(size, wanted, note)
    print(f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, load {os.getloadavg()[0]:.1f}")
    printed(figures, sizes)
    if any(size > WHOLE for size in sizes):
        print(f"above {WHOLE:,} accounts without notes and invoices; above {IN_MEMORY:,} not in memory")
    if wanted("import"):
        own, attrs, every = import_seconds("keyaccount", "attrs", f"keyaccount as ka; {EVERY}")
        print(
            f"import keyaccount {own * 1e3:.0f} ms, every public name {every * 1e3:.0f}, attrs {attrs * 1e3:.0f}",
            end="",
        )
        print("; allowed: attrs and 40 ms more: " + ("held" if own <= attrs + 0.04 else "MISSED"))
        figures.append({"job": "import", "in": "process", "size": 1, "seconds": own, "by_hand": attrs})
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
