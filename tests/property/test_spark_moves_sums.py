"""From Spark come sums by account and rows of contracts; invoices and orders stay where they are."""

from __future__ import annotations

import importlib.util
import shutil
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

import keyaccount as ka
from engines import frame_of, invoices_in

frames: Any = pytest.importorskip("keyaccount.frames", exc_type=ImportError)

ON = date(2026, 3, 31)
ACCOUNTS, EACH = 4, 50

pytestmark = [
    pytest.mark.spark,
    pytest.mark.skipif(
        importlib.util.find_spec("pyspark") is None or shutil.which("java") is None, reason="needs pyspark and Java"
    ),
]


def invoices() -> list[ka.Invoice]:
    """Make fifty invoices for each of four accounts, over two years."""
    return [
        ka.Invoice(
            f"{account}-{n}",
            organisation_id=f"a{account}",
            issued_on=ON - timedelta(1 + n * 14),
            net=ka.Money(n + 1, "EUR"),
        )
        for account in range(ACCOUNTS)
        for n in range(EACH)
    ]


@pytest.fixture
def moved(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, list[str]]]:
    """Note how many rows of which columns leave Spark, whichever way they are fetched."""
    from pyspark.sql import DataFrame

    from spark_session import session

    cls = type(session().createDataFrame([(1,)], "one bigint"))
    found: list[tuple[int, list[str]]] = []
    for name in ("toArrow", "toPandas", "collect", "toLocalIterator"):
        fetch = getattr(cls, name, None) or getattr(DataFrame, name)

        def noted(self: Any, *given: Any, fetch: Any = fetch, **more: Any) -> Any:
            rows = fetch(self, *given, **more)
            found.append((len(rows), list(self.columns)))
            return rows

        monkeypatch.setattr(cls, name, noted)
    return found


def test_only_sums_by_account_leave_spark(moved: list[tuple[int, list[str]]]) -> None:
    """Two hundred invoices come back as four rows of sums, without their ids, for each of the metrics."""
    frame = frame_of("pyspark", invoices_in(invoices()))
    metrics = (frames.growth, frames.average_value, frames.concentration)
    for metric in metrics:
        metric(frame, on=ON)
    frames.order_decline(frame, on=ON, basis="invoices")
    assert [rows for rows, _ in moved] == [ACCOUNTS] * 4
    assert not {"id", "units", "net", "day"} & {name for _, columns in moved for name in columns}


def test_the_records_behind_one_figure_are_looked_up_when_asked_for(moved: list[tuple[int, list[str]]]) -> None:
    """Only then ids travel, and those of that account and window alone."""
    figures = frames.growth(frame_of("pyspark", invoices_in(invoices())), on=ON)
    before = len(moved)
    wanted = [row.id for row in invoices() if row.organisation_id == "a1" and row.issued_on >= date(2025, 3, 31)]  # type: ignore[operator]
    assert sorted(figures["a1"].records.numerator) == sorted(wanted)
    assert moved[before:] == [(len(wanted), ["id"])]


def test_a_desk_over_spark_moves_sums_of_readable_accounts_alone(moved: list[tuple[int, list[str]]]) -> None:
    """Of four accounts a user reads one: one row of sums leaves Spark."""
    lake = frames.FrameFacts(invoices=frame_of("pyspark", invoices_in(invoices())))
    now = datetime(2026, 3, 31, 12, tzinfo=UTC)
    with ka.open(policy=ka.AccessPolicy(default=None), facts=lake, clock=lambda: now) as book:
        office = book.trusted("setup")
        office.put(ka.User("dora", name="Dora"))
        office.put(*(ka.Organisation(f"a{n}", name=f"A{n}") for n in range(ACCOUNTS)))
        office.put(ka.Assignment(user_id="dora", organisation_id="a2", role=ka.KEY_ACCOUNT_MANAGER))
        seen = book.desk("dora").portfolio.average_value(on=ON)
    assert seen.accounts.denominator == ("a2",)
    assert [rows for rows, _ in moved] == [1]
