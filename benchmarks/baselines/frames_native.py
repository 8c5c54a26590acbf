"""Growth, average value, concentration and decline in the engines' own words, as one would write them for a report.

Each returns by account the exact cents of the windows, and the first day of any document: all that those metrics are
made of. Credit notes count negative. Nothing is checked.
"""

from __future__ import annotations

from datetime import date
from typing import Any

Windows = list[tuple[date, date]]


def of_polars(frame: Any, windows: Windows) -> dict[tuple[str, str], tuple[Any, ...]]:
    """Ask Polars, lazily."""
    import polars as pl

    net, day = pl.col("net"), pl.col("issued_on")
    signed = pl.when(pl.col("kind") == "credit note").then(-net).otherwise(net)
    sums = [signed.filter((day >= start) & (day < end)).sum().alias(f"w{n}") for n, (start, end) in enumerate(windows)]
    found = frame.lazy().group_by("organisation_id", "currency").agg(*sums, day.min().alias("first")).collect()
    return {(row[0], row[1]): row[2:] for row in found.iter_rows()}


def of_duckdb(frame: Any, windows: Windows) -> dict[tuple[str, str], tuple[Any, ...]]:
    """Ask DuckDB in SQL."""
    sums = ", ".join(
        f"coalesce(sum(case when kind = 'credit note' then -net else net end)"
        f" filter (where issued_on >= date '{start}' and issued_on < date '{end}'), 0)"
        for start, end in windows
    )
    text = f"select organisation_id, currency, {sums}, min(issued_on) from documents group by all"  # noqa: S608 - days
    return {(row[0], row[1]): row[2:] for row in frame.query("documents", text).fetchall()}


def of_pandas(frame: Any, windows: Windows) -> dict[tuple[str, str], tuple[Any, ...]]:
    """Ask pandas: whole cents in one column."""
    import pandas as pd

    signed = frame["net"].where(frame["kind"] != "credit note", -frame["net"])
    days = frame["issued_on"]
    columns = {
        f"w{n}": signed.where((days >= pd.Timestamp(start)) & (days < pd.Timestamp(end)), 0)
        for n, (start, end) in enumerate(windows)
    }
    table = pd.DataFrame({"account": frame["organisation_id"], "currency": frame["currency"], **columns, "first": days})
    how = {**dict.fromkeys(columns, "sum"), "first": "min"}
    found = table.groupby(["account", "currency"], sort=False).agg(how)
    return {row[0]: tuple(row[1:]) for row in found.itertuples(name=None)}
