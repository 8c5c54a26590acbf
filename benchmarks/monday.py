"""The Monday health check and the revenue metrics on an SQLite file and on frames, beside the same by hand, in one run.

Files of several sizes, a hundred invoices an account, are made by the library once and kept in `--folder`.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import platform
import sqlite3
import statistics
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import ledger
import measuring
from baselines import frames_native, monday_formulas
from baselines.monday_formulas import Summed
from baselines.monday_sqlite3 import ALL, CLOSED, OPEN, ByHand

import keyaccount as ka
from keyaccount import frames
from keyaccount.billing import OverdueInvoices
from keyaccount.figures import Figures
from keyaccount.health_rows import HealthRow

ON, ME = ledger.ON, "p7"
EACH, ROUNDS, LINEAR = 100, 5, 1.15
HEALTH, METRIC, FRAME = 2.0, 1.5, 1.3
DESKS = {"trusted": (None, ALL, False), "open policy": (ME, OPEN, False), "closed policy": (ME, CLOSED, True)}
"""The desks that ask: all accounts, all but the private ones of others, and a fiftieth of all."""


# ---- both sides, in the same form ------------------------------------------------------------------------------------


def units(amounts: Any) -> int:
    """Return amounts of one currency as ten-thousandths."""
    return sum(one.units for one in amounts)


def health_row(row: HealthRow) -> tuple[Any, ...]:
    """Return a row of the health check as the hand-written one is."""
    last = row.last_contact
    return (
        row.organisation_id, row.name, units(row.invoiced), units(row.invoiced_before), row.growth, row.growth_reason,
        row.decline, row.alert, row.seasonal,
        [(one.contract_id, one.days_left, one.ends_on, one.deadline, one.done) for one in row.due],
        [(one.contract_id, one.days, one.value and one.value.units) for one in row.expired],
        units(row.overdue), row.oldest_overdue, row.overdue_ids, row.opportunities, units(row.pipeline),
        units(row.weighted), [one.opportunity_id for one in row.to_update], last and (last.days, last.activity_id),
        [one.activity_id for one in row.promises], [(one.kind, one.text, one.evidence) for one in row.to_do],
    )  # fmt: skip


def growth(found: Figures) -> tuple[Any, ...]:
    """Return growth as the hand-written one is."""
    rows = [
        (
            row.part,
            row.value,
            row.reason,
            *(one.units if isinstance(one, ka.Money) else 0 for one in row.beside.values()),
        )
        for row in found
    ]
    return rows, found.whole and found.whole.value


def decline(found: Figures) -> tuple[Any, ...]:
    """Return declines as the hand-written ones are."""
    rows = []
    for row in found:
        last, before, ago, alert, seasonal = row.beside.values()
        sums = (one.units if isinstance(one, ka.Money) else 0 for one in (last, before, ago))
        rows.append((row.part, row.value, bool(alert), None if seasonal is None else bool(seasonal), *sums))
    return rows, found.whole and found.whole.value


def average(found: ka.Figure) -> tuple[Any, ...]:
    """Return the average as the hand-written one is; both sides of it, for the value is rounded."""
    top, count = found.numerator, found.denominator
    assert isinstance(top, ka.Money)
    assert isinstance(count, int)
    beside = found.beside
    return Fraction(top.units, count), top.units, count, beside["without turnover"], beside["younger than 12 months"]


def concentration(found: ka.Figure) -> tuple[Any, ...]:
    """Return the concentration as the hand-written one is."""
    total, *rest = (found.beside[name] for name in ("turnover", "top 1", "top 5", "top 10", "make 80 %"))
    shares = [(one.part, one.value, units([one.numerator])) for one in found.parts or ()]
    return found.value, units([total]), *rest, shares


def overdue(found: OverdueInvoices) -> list[Any]:
    """Return the overdue list as the hand-written one is."""
    return [
        (row.invoice_id, row.organisation_id, row.open_amount.units, row.days, row.open_amount.currency)
        for row in found
    ]


def contact(found: Figures) -> list[Any]:
    """Return the days since contact as the hand-written ones are."""
    return [(row.part, row.value, next(iter(row.records.numerator), None)) for row in found]


Job = tuple[Callable[[Any], Any], Callable[[Any], Any], Callable[[ByHand], Any], float]
JOBS: dict[str, Job] = {
    "health check": (
        lambda desk: desk.health_check(on=ON),
        lambda found: list(map(health_row, found)),
        ByHand.health,
        HEALTH,
    ),
    "growth": (lambda desk: desk.portfolio.growth(on=ON), growth, ByHand.growth, METRIC),
    "average value": (lambda desk: desk.portfolio.average_value(on=ON), average, ByHand.average, METRIC),
    "order decline": (lambda desk: desk.portfolio.order_decline(on=ON), decline, ByHand.decline, METRIC),
    "concentration": (lambda desk: desk.portfolio.concentration(on=ON), concentration, ByHand.concentration, METRIC),
    "days since contact": (lambda desk: desk.portfolio.days_since_contact(on=ON), contact, ByHand.contact, METRIC),
    "overdue": (lambda desk: desk.billing.overdue(on=ON), overdue, ByHand.overdue, METRIC),
}
"""What is asked of a desk, how its answer is put beside the hand-written one, that one, and the target."""
READ = ("growth", "order decline", "days since contact")
"""Those that answer with a figure for each account, filled when somebody looks at it: also with all looked at."""


# ---- measuring -------------------------------------------------------------------------------------------------------


def medians(*calls: Callable[[], object]) -> list[float]:
    """Return the median time of each call in seconds; they take turns, so that other work hits all alike."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(ROUNDS):
        for call, taken in zip(calls, times, strict=True):
            gc.collect()
            begun = time.perf_counter()
            call()
            taken.append(time.perf_counter() - begun)
    return [statistics.median(taken) for taken in times]


@contextlib.contextmanager
def statements(said: list[str]) -> Iterator[None]:
    """Note what connections made meanwhile are asked to select."""
    connect = sqlite3.connect

    def traced(*given: Any, **more: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*given, **more)
        connection.set_trace_callback(said.append)
        return connection

    sqlite3.connect = traced  # type: ignore[assignment]
    try:
        yield
    finally:
        sqlite3.connect = connect


def counted(path: Path, job: str) -> int:
    """Return how many statements a job takes beside those that begin and end its unit of work."""
    said: list[str] = []
    with statements(said), ledger.opened(path) as book:
        desk = book.desk(ME)
        said.clear()
        JOBS[job][0](desk)
    asking = [one for one in said if one.startswith(("SELECT", "WITH"))]
    return len(asking) - 1  # the first look only takes the state


def peak_mb(path: Path) -> float:
    """Return how much memory a health check takes at most, beyond what is there."""
    with ledger.opened(path) as book:
        desk = book.trusted("benchmark")
        desk.health_check(on=ON)
        gc.collect()
        tracemalloc.start()
        desk.health_check(on=ON)
        peak = tracemalloc.get_traced_memory()[1] / 1e6
        tracemalloc.stop()
    return peak


# ---- the run ---------------------------------------------------------------------------------------------------------


def measure_desks(path: Path, size: int, wanted: Callable[[str], bool], note: Callable[..., None]) -> None:
    """Measure each job of each desk beside the hand-written one; first both must say the same."""
    for name, (me, readable, closed) in DESKS.items():
        with ledger.opened(path, closed=closed) as book:
            desk = book.trusted("benchmark") if me is None else book.desk(me)
            hand = ByHand(path, ON, me, readable)
            for job, (ask, told, by_hand, target) in JOBS.items():
                if wanted(job):
                    assert told(ask(desk)) == by_hand(hand), f"{job}, {name}: they differ"
                    own, other = medians(lambda: ask(desk), lambda: by_hand(hand))  # noqa: B023
                    note(job, name, size, own, other, target=target)
                    if job in READ:
                        read = medians(lambda: told(ask(desk)), lambda: by_hand(hand))  # noqa: B023
                        note(f"{job}, all read", name, size, *read)
            if wanted("records"):
                figures = desk.portfolio.growth(on=ON)
                account = figures[len(figures) // 2].part or ""
                assert list(figures[account].records.numerator) == hand.records(account)
                fresh = lambda: tuple(figures[account].records.numerator._find())  # type: ignore[attr-defined]  # noqa: B023, E731
                note("records of one", name, size, *medians(fresh, lambda: hand.records(account)))  # noqa: B023


FRAMED: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any], Callable[[Any], Any]]] = {
    "growth": (lambda frame: frames.growth(frame, on=ON), growth, lambda rows: monday_formulas.growth(rows, ON)),
    "average value": (
        lambda frame: frames.average_value(frame, on=ON),
        average,
        lambda rows: monday_formulas.average(rows, ON),
    ),
    "order decline": (
        lambda frame: frames.order_decline(frame, on=ON, basis="invoices"),
        decline,
        monday_formulas.decline,
    ),
    "concentration": (lambda frame: frames.concentration(frame, on=ON), concentration, monday_formulas.concentration),
}
"""The metrics over frames: asked of the library, put beside, and the formula over the engine's own sums."""


def measure_frames(path: Path, size: int, wanted: Callable[[str], bool], note: Callable[..., None]) -> None:
    """Measure the metrics over the same invoices in frames, beside the engines' own queries and the same formulas."""
    import frames as benchmark  # which brings pandas, Polars and DuckDB

    table = benchmark.invoices_of(path)
    for engine in filter(wanted, ("polars", "duckdb", "pandas")):
        frame = benchmark.frame_of(engine, table)
        mine = frame if engine != "pandas" else frame.rename(columns={"net_units": "net"})
        query, scale = getattr(frames_native, f"of_{engine}"), 1 if engine == "pandas" else 10_000
        for job, (ask, told, formula) in FRAMED.items():
            spans = monday_formulas.months(ON) if job == "order decline" else monday_formulas.years(ON)
            days = [(date.fromisoformat(start), date.fromisoformat(end)) for start, end in spans]

            def by_engine() -> Any:
                found = query(mine, days).items()  # noqa: B023
                return formula(  # noqa: B023
                    Summed(key[0], key[1], [int(one * scale) for one in sums], str(first)[:10])  # noqa: B023
                    for key, (*sums, first) in found
                )

            assert told(ask(frame)) == by_engine(), f"{job}, {engine}: they differ"
            note(job, engine, size, *medians(lambda: ask(frame), by_engine), target=FRAME)  # noqa: B023


def printed(figures: list[dict[str, Any]], sizes: list[int]) -> None:
    """Print a line for each job and desk, or engine."""
    heads = "".join(f"{size:>12,}" for size in sizes)
    print(f"{'milliseconds':20}{'asked of':15}{heads}{'exponent':>10}{'by hand':>9}{'ratio':>7}  target")
    for job, of in dict.fromkeys((row["job"], row["of"]) for row in figures):
        some = [row for row in figures if (row["job"], row["of"]) == (job, of)]
        points, last = {row["size"]: row["seconds"] for row in some}, some[-1]
        cells = "".join(f"{points[size] * 1e3:12,.1f}" if size in points else f"{'-':>12}" for size in sizes)
        fitted = measuring.exponent(points)
        ratio, target = last["seconds"] / last["by_hand"], last["target"]
        told = f"{target:g}: {'held' if ratio <= target else 'MISSED'}" if target else ""
        told += f"; grows faster than {LINEAR}" if fitted is not None and fitted > LINEAR else ""
        grows = "-" if fitted is None else f"{fitted:.2f}"
        print(f"{job:20}{of:15}{cells}{grows:>10}{last['by_hand'] * 1e3:9,.1f}{ratio:7.2f}  {told}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="10000,100000,1000000", help="numbers of invoices")
    parser.add_argument("--ten-million", action="store_true", help="also 10,000,000: 6 GB of disk, and half an hour")
    parser.add_argument("--only", default="", help="jobs (or frames, memory) whose names begin so, with commas")
    parser.add_argument("--folder", type=Path, help="keep the files here, for the next run")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    sizes = [int(size) for size in given.sizes.split(",")] + [10_000_000] * given.ten_million
    only = tuple(filter(None, given.only.split(",")))
    figures: list[dict[str, Any]] = []

    def wanted(name: str) -> bool:
        return not only or name.startswith(only)

    def note(job: str, of: str, size: int, *seconds: float, target: float = 0) -> None:
        own, by_hand = seconds
        figures.append({"job": job, "of": of, "size": size, "seconds": own, "by_hand": by_hand, "target": target})

    print(f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, load {os.getloadavg()[0]:.1f}")
    with contextlib.ExitStack() as stack:
        folder = given.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        paths = {size: ledger.made(folder, size // EACH, EACH) for size in sizes}
        for size, path in paths.items():
            measure_desks(path, size, wanted, note)
            if wanted("frames"):
                measure_frames(path, size, lambda _: True, note)
        printed(figures, sizes)
        if wanted("statements"):
            some = {job: [counted(path, job) for path in paths.values()] for job in JOBS}
            print("statements, by size: " + "; ".join(f"{job} {told}" for job, told in some.items()))
        if wanted("memory"):
            few = 1_000
            peaks = {each: peak_mb(ledger.made(folder, few, each)) for each in (10, 100, 1_000)}
            told = ", ".join(f"{few * each:,} invoices {peak:.1f} MB" for each, peak in peaks.items())
            print(f"memory of a health check of {few:,} accounts: {told}")
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
