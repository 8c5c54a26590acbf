"""Renewal rate, retention and recurring value: over contracts in memory, and asked of a desk over an SQLite file.

Beside a plain Python loop and hand-written SQL, in one run.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from baselines import portfolio_loop
from baselines.portfolio_sql import Report

import keyaccount as ka
from keyaccount import portfolio

YEAR, ON = ka.Period.year(2025), date(2026, 3, 1)
ROUNDS = 5


def company(size: int, seed: int = 1) -> list[ka.Contract]:
    """Make so many contracts, four to an account, in no order: fixed, rolling, open-ended; linked and not."""
    dice = random.Random(seed)  # noqa: S311 - a world for measuring, no secret
    rows = []
    for n in range(size):
        start = date(2023, 1, 1) + timedelta(dice.randrange(1100))
        end = None if dice.random() < 0.1 else start + timedelta(dice.choice((181, 364, 729)))
        rolling = end is not None and dice.random() < 0.3
        rows.append(
            ka.Contract(
                f"m{n}",
                organisation_id=f"a{dice.randrange(size // 4)}",
                kind=dice.choice(("supply", "lease")),
                signed_on=start - timedelta(20),
                starts_on=start,
                ends_on=end,
                value=ka.Money(dice.randrange(1, 100_000), "EUR"),
                value_per=dice.choice(("month", "year")),
                notice=ka.months(3) if rolling else None,
                renewal_term=ka.months(12) if rolling else None,
                predecessor_ids=(f"m{dice.randrange(n)}",) if n and dice.random() < 0.2 else (),
            )
        )
    return rows


QUESTIONS: dict[str, tuple[Callable[[Any], ka.Figure], Callable[[Any], tuple[Any, ...]]]] = {
    "renewal rate": (
        lambda rows: portfolio.renewal_rate(rows, YEAR, on=ON),
        lambda rows: portfolio_loop.renewal_rate(rows, YEAR.start, YEAR.end, ON),
    ),
    "account retention": (
        lambda rows: portfolio.account_retention(rows, YEAR, on=ON),
        lambda rows: portfolio_loop.account_retention(rows, YEAR.start, YEAR.end, ON),
    ),
    "gross retention": (
        lambda rows: portfolio.gross_retention(rows, YEAR, on=ON),
        lambda rows: portfolio_loop.gross_retention(rows, YEAR.start, YEAR.end, ON),
    ),
    "recurring value": (
        lambda rows: portfolio.recurring(rows, on=ON),
        lambda rows: portfolio_loop.recurring(rows, ON),
    ),
}


def median_s(call: Callable[[], object]) -> float:
    """Return the median of some rounds, in seconds."""
    rounds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        call()
        rounds.append(time.perf_counter() - start)
    return statistics.median(rounds)


def exponent(times: dict[int, float]) -> float:
    """Fit how the time grows with the number: 1 is linear."""
    points = [(math.log(size), math.log(seconds)) for size, seconds in times.items()]
    mean_x, mean_y = (sum(side) / len(points) for side in zip(*points, strict=True))
    slope: float = sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)
    return slope


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--json", type=Path)
    given.add_argument("--sizes", default="1000,10000,100000", help="numbers of contracts in memory")
    given.add_argument("--file-size", type=int, default=20_000, help="contracts in the SQLite file")
    given.add_argument("--million", action="store_true", help="also a million contracts, account by account")
    options = given.parse_args()
    figures: dict[str, Any] = {}
    companies = {size: company(size) for size in map(int, options.sizes.split(","))}
    print(f"{'':20}{'contracts':>10}{'keyaccount':>12}{'plain loop':>12}{'ratio':>7}{'exponent':>10}")
    for name, (ask, loop) in QUESTIONS.items():
        times = {}
        for size, rows in companies.items():
            figure = ask(rows)
            assert (figure.value, *map(sorted, (figure.records.numerator, figure.records.denominator))) == loop(rows)
            ours, theirs = median_s(lambda: ask(rows)), median_s(lambda: loop(rows))  # noqa: B023
            times[size] = ours
            figures[f"{name} {size}"] = {"keyaccount_s": ours, "loop_s": theirs, "ratio": ours / theirs}
            print(f"{name:20}{size:10,}{ours * 1000:9.1f} ms{theirs * 1000:9.1f} ms{ours / theirs:7.2f}", end="")
            print(f"{exponent(times):10.2f}" if len(times) == len(companies) > 1 else "")
    figures |= on_file(options.file_size)
    if options.million:
        figures["million"] = million()
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2))


def linked(size: int, seed: int = 2) -> Iterator[ka.Contract]:
    """Make so many contracts of fixed terms in chains that name their predecessors, four to an account."""
    dice = random.Random(seed)  # noqa: S311 - a world for measuring, no secret
    for n in range(size):
        chain, year = divmod(n, 4)
        start = date(2023 + year, 1 + chain % 12, 1 + chain % 28)
        if year == 3 and dice.random() < 0.3:
            continue
        yield ka.Contract(
            f"m{n:07}",
            organisation_id=f"a{chain // 2:06}",
            kind=f"{chain % 2}",
            signed_on=start - timedelta(20),
            starts_on=start,
            ends_on=start.replace(year=start.year + 1) - timedelta(1),
            value=ka.Money(dice.randrange(1, 100_000), "EUR"),
            value_per=dice.choice(("month", "year")),
            predecessor_ids=(f"m{n - 1:07}",) if year else (),
        )


def on_file(size: int) -> dict[str, Any]:
    """Ask a trusted desk and a user's over a file; tell the time beside SQL over the same file."""
    told = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "contracts.sqlite"
        book = ka.open(path, policy=ka.AccessPolicy(default=ka.Right.READ))
        office = book.trusted("benchmark")
        office.put(ka.User("reader", name="Reader"))
        office.put_many(ka.Organisation(f"a{n:06}", name=f"Account {n}") for n in range(-(-size // 8)))
        office.put_many(linked(size))
        report = Report(path)
        print(f"{'SQLite file':28}{'contracts':>10}{'desk':>12}{'SQL':>12}{'ratio':>7}{'SQL, loop':>12}{'ratio':>7}")
        for who, desk in (("trusted", office), ("a user", book.desk("reader"))):
            for name, (ask, by_sql, by_loop) in _on_file(desk.portfolio, report).items():
                figure, expected, looped = ask(), by_sql(), by_loop()
                value = figure.value.units if isinstance(figure.value, ka.Money) else figure.value
                sides = sorted(figure.records.numerator), sorted(figure.records.denominator)
                assert (value, *sides) == expected, name
                assert looped[1:] == expected[1:], name
                times = {"keyaccount_s": median_s(ask), "sql_s": median_s(by_sql), "loop_s": median_s(by_loop)}
                told[f"{name}, {who}, file {size}"] = times
                ours, sql, loop = times.values()
                print(
                    f"{name + ', ' + who:28}{size:10,}{ours * 1000:9.1f} ms{sql * 1000:9.1f} ms{ours / sql:7.2f}",
                    end="",
                )
                print(f"{loop * 1000:9.1f} ms{ours / loop:7.2f}")
        book.close()
    return told


def _on_file(metrics: Any, report: Report) -> dict[str, tuple[Callable[[], Any], ...]]:
    days = YEAR.start, YEAR.end, ON
    return {
        "renewal rate": (
            lambda: metrics.renewal_rate(YEAR, on=ON),
            lambda: report.renewal_rate(*days),
            lambda: report.looped("renewal_rate", *days),
        ),
        "account retention": (
            lambda: metrics.account_retention(YEAR, on=ON),
            lambda: report.account_retention(*days),
            lambda: report.looped("account_retention", *days),
        ),
        "gross retention": (
            lambda: metrics.gross_retention(YEAR, on=ON),
            lambda: report.gross_retention(*days),
            lambda: report.looped("gross_retention", *days),
        ),
        "recurring value": (
            lambda: metrics.recurring(on=ON),
            lambda: report.recurring(ON),
            lambda: report.looped("recurring", ON),
        ),
    }


def million(size: int = 1_000_000) -> dict[str, float]:
    """Stream a million contracts, account by account, through the renewal rate; tell time and memory."""
    start = date(2024, 1, 1)

    def stream() -> Any:
        for n in range(size):
            begins = start + timedelta(n % 700)
            yield ka.Contract(
                f"m{n}",
                organisation_id=f"a{n // 10:06}",
                signed_on=begins,
                starts_on=begins,
                ends_on=begins + timedelta(364),
            )

    tracemalloc.start()
    portfolio.account_retention(stream(), YEAR, on=ON, grouped=True)
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    begun = time.perf_counter()
    figure = portfolio.account_retention(stream(), YEAR, on=ON, grouped=True)
    seconds = time.perf_counter() - begun
    kept = len(figure.records.denominator)
    print(f"{size:,} contracts account by account: {seconds:.1f} s with making them, {peak:.0f} MB for {kept:,} ids")
    return {"seconds": seconds, "peak_mb": peak}


if __name__ == "__main__":
    main()
