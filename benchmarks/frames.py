"""Sums of a million invoices in frames, beside the engines' own queries for the same, in one run."""

from __future__ import annotations

import argparse
import contextlib
import json
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
from baselines import frames_native

from keyaccount import frames, health

ON = date(2026, 3, 31)
ACCOUNTS, ROUNDS = 10_000, 7


def invoices(size: int) -> Any:
    """Make so many invoices of ten thousand accounts over three years, a twentieth of them credit notes."""
    dice = np.random.default_rng(1)
    accounts = np.array([f"K-{n:05}" for n in range(ACCOUNTS)])
    start = (ON - timedelta(3 * 365)).toordinal() - date(1970, 1, 1).toordinal()
    return pa.table(
        {
            "organisation_id": accounts[dice.integers(0, ACCOUNTS, size)],
            "kind": np.where(dice.random(size) < 0.05, "credit note", "invoice"),
            "issued_on": pa.array((start + dice.integers(0, 3 * 365, size)).astype("int32")).cast(pa.date32()),
            "currency": np.full(size, "EUR"),
            "cents": dice.integers(0, 5_000_000, size),
        }
    )


def invoices_of(path: Path) -> Any:
    """Return the invoices in a file of the library's as a table of the same form."""
    sql = "SELECT organisation_id, kind, issued_on, currency, net / 100 FROM invoice ORDER BY issued_on, id"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        accounts, kinds, days, currencies, cents = zip(*connection.execute(sql), strict=True)
    columns = {"organisation_id": accounts, "kind": kinds, "issued_on": days, "currency": currencies, "cents": cents}
    table = pa.table({name: pa.array(column) for name, column in columns.items()})
    return table.set_column(2, "issued_on", table["issued_on"].cast(pa.date32()))


def frame_of(engine: str, table: Any) -> Any:
    """Make a frame with decimals, as a lake holds them; pandas has whole numbers of ten-thousandths, as it would."""
    relation = duckdb.connect().from_arrow(table)
    decimals = relation.project("organisation_id, kind, issued_on, currency, (cents / 100)::decimal(14, 2) as net")
    if engine == "duckdb":
        decimals.create("stored")
        return decimals.query("stored_documents", "select * from stored")
    if engine == "polars":
        return decimals.pl()
    found = table.to_pandas()
    found["issued_on"] = pd.to_datetime(found["issued_on"])
    found["net_units"] = found.pop("cents") * 100
    return found


def medians(*calls: Callable[[], object]) -> list[float]:
    """Return the median time of each call, taken in turn, in seconds."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(ROUNDS):
        for call, taken in zip(calls, times, strict=True):
            begun = time.perf_counter()
            call()
            taken.append(time.perf_counter() - begun)
    return [statistics.median(taken) for taken in times]


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--json", type=Path)
    given.add_argument("--size", type=int, default=1_000_000)
    options = given.parse_args()
    table, windows = invoices(options.size), health.invoice_windows(ON)
    spans = [(window.start, window.end) for window in windows.values()]
    figures = {}
    print(f"{options.size:,} invoices, {ACCOUNTS:,} accounts, {len(spans)} windows; polars {pl.__version__}")
    print(f"{'engine':10}{'keyaccount':>14}{'native':>12}{'ratio':>8}")
    for engine in ("polars", "duckdb", "pandas"):
        frame = frame_of(engine, table)
        mine = frame if engine != "pandas" else frame.rename(columns={"net_units": "net"})
        native = getattr(frames_native, f"of_{engine}")
        ours, theirs = frames.turnover(frame, windows), native(mine, spans)
        scale = 1 if engine == "pandas" else 10_000
        for flow in ours.flows:
            *sums, first = theirs[flow.account, flow.currency]
            assert list(flow.units) == [int(one * scale) for one in sums]
            assert str(flow.first) == str(first)[:10]
        assert len(list(ours.flows)) == len(theirs)
        one, other = medians(lambda: frames.turnover(frame, windows), lambda: native(mine, spans))  # noqa: B023
        figures[engine] = {"keyaccount_s": one, "native_s": other, "ratio": one / other}
        print(f"{engine:10}{one * 1000:11.0f} ms{other * 1000:9.0f} ms{one / other:8.2f}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
