"""Every engine gives the figures of the plain functions: values, both sides, records, and what was left out."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import keyaccount as ka
from engines import contracts_in, engines, frame_of, invoices_in, orders_in
from keyaccount import portfolio
from property.portfolios import YEAR, days, portfolios

frames: Any = pytest.importorskip("keyaccount.frames", exc_type=ImportError)

ON = date(2026, 3, 31)
BORDERS = [
    *(ON, date(2026, 3, 30), date(2026, 3, 1), date(2026, 2, 28), date(2026, 1, 31), date(2025, 3, 31)),
    *(date(2025, 3, 30), date(2024, 3, 31), date(2024, 3, 30), date(2024, 2, 29), date(2025, 2, 28)),
]
DAYS = st.sampled_from(BORDERS) | st.integers(0, 900).map(lambda n: date(2024, 1, 1) + timedelta(n))
ACCOUNTS = st.sampled_from(["acme", "globex", "ärger & söhne", "none"])
CURRENCIES = ["EUR", "EUR", "EUR", "USD", "JPY"]
STATES = ["open", "confirmed", "closed", "draft", "cancelled"]
CENTS = st.integers(0, 10**6) | st.sampled_from([0, 1, 10**11, 10**13 - 1])
KNOWN = portfolio.Accounts.of(
    [
        ka.Organisation("acme", name="ACME", sector="chemicals", relationships=("customer",)),
        ka.Organisation("globex", name="Globex", parent_id="acme"),
        ka.Organisation("silent", name="Silent", relationships=("customer",)),
    ]
)


def rate(currency: str, day: date) -> Fraction:
    """Give a rate that is another one each day."""
    return Fraction(day.toordinal() % 97 + 1, 64 if currency == "USD" else 7000)


OPTIONS: list[dict[str, Any]] = [
    {},
    {"currency": "EUR", "exchange": rate},
    {"accounts": KNOWN, "level": "parent"},
    {"accounts": KNOWN, "by": "sector", "currency": "EUR", "exchange": rate},
]
OVER_DOCUMENTS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "growth": (portfolio.growth, frames.growth),
    "average value": (portfolio.average_value, frames.average_value),
    "concentration": (portfolio.concentration, frames.concentration),
    "order decline": (portfolio.order_decline, frames.order_decline),
    "order decline to date": (
        lambda rows, **options: portfolio.order_decline(rows, month="to date", **options),
        lambda rows, **options: frames.order_decline(rows, month="to date", **options),
    ),
}
OVER_CONTRACTS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    name: (
        lambda rows, name=name, **options: getattr(portfolio, name)(rows, YEAR, on=ON, **options),
        lambda rows, name=name, **options: getattr(frames, name)(rows, YEAR, on=ON, **options),
    )
    for name in ("renewal_rate", "account_retention", "gross_retention", "net_retention", "movements")
} | {
    name: (
        lambda rows, name=name, **options: getattr(portfolio, name)(rows, on=ON, **options),
        lambda rows, name=name, **options: getattr(frames, name)(rows, on=ON, **options),
    )
    for name in ("recurring", "expired_unrenewed", "due")
}


@st.composite
def invoices(draw: st.DrawFn) -> list[ka.Invoice]:
    """Draw invoices and credit notes around the borders of windows, in several currencies."""
    size = draw(st.integers(0, 12))
    return [
        ka.Invoice(
            f"i{n}",
            organisation_id=draw(ACCOUNTS),
            kind=draw(st.sampled_from(["invoice", "invoice", "credit note"])),
            issued_on=draw(DAYS),
            net=ka.Money(Decimal(draw(CENTS)).scaleb(-2), draw(st.sampled_from(CURRENCIES))),
        )
        for n in range(size)
    ]


@st.composite
def orders(draw: st.DrawFn) -> list[ka.Order]:
    """Draw orders in several states, some without lines."""
    found = []
    for n in range(draw(st.integers(0, 12))):
        price = ka.Money(Decimal(draw(CENTS)).scaleb(-2), draw(st.sampled_from(CURRENCIES)))
        lines = draw(st.sampled_from([(), (ka.Line("p", unit_price=price),), (ka.Line("p", unit_price=price),) * 2]))
        state = draw(st.sampled_from(STATES))
        found.append(ka.Order(f"o{n}", organisation_id=draw(ACCOUNTS), ordered_on=draw(DAYS), state=state, lines=lines))
    return found


def agree(engine: str, columns: Any, rows: Any, name: str, **options: Any) -> None:
    """Compare everything a figure says: it is equal in each field, its records are looked up."""
    plain, ours = OVER_DOCUMENTS[name]
    decimals = {"decimals": 2} if columns.get("net", ((), ""))[1] == "float" else {}
    assert ours(frame_of(engine, columns), on=ON, **decimals, **options) == plain(rows, on=ON, **options)


def check_invoices(engine: str, data: st.DataObject) -> None:
    """Draw invoices, how they are written, and a question; the engine and the plain function agree."""
    rows = data.draw(invoices())
    amounts = data.draw(st.sampled_from(["decimal", "wide decimal", "units", "float"]))
    columns = invoices_in(rows, amounts, plain_kind=data.draw(st.booleans()))
    name = data.draw(st.sampled_from([*OVER_DOCUMENTS]))
    agree(engine, columns, rows, name, basis="invoices", **data.draw(st.sampled_from(OPTIONS)))


def check_orders(engine: str, data: st.DataObject) -> None:
    """Likewise for orders: drafts, cancelled ones and those without lines do not count."""
    rows = data.draw(orders())
    columns = orders_in(rows, data.draw(st.sampled_from(["decimal", "units", "float"])))
    name = data.draw(st.sampled_from([*OVER_DOCUMENTS]))
    agree(engine, columns, rows, name, basis="orders", **data.draw(st.sampled_from(OPTIONS)))


def check_contracts(engine: str, data: st.DataObject) -> None:
    """Likewise for contracts, whose rows come sorted by account."""
    rows = data.draw(portfolios())
    plain, ours = OVER_CONTRACTS[data.draw(st.sampled_from([*OVER_CONTRACTS]))]
    amounts = data.draw(st.sampled_from(["decimal", "float"]))
    given = {"decimals": 2} if amounts == "float" else {}
    asked: list[dict[str, Any]] = [{}, {"level": "account", "grouped": True}, {"currency": "EUR"}]
    options = data.draw(st.sampled_from(asked))
    in_order = sorted(rows, key=lambda row: (row.organisation_id, row.id))
    assert ours(frame_of(engine, contracts_in(rows, amounts)), **given, **options) == plain(in_order, **options)


ONE_BY_ONE = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
everyday = settings(max_examples=8, deadline=None, suppress_health_check=ONE_BY_ONE)
CHECKS = [check_invoices, check_orders, check_contracts]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("engine", engines())
@everyday
@given(data=st.data())
def test_an_engine_agrees_with_the_plain_functions(engine: str, check: Any, data: st.DataObject) -> None:
    """Whatever the portfolio and however it is written, an engine's figures are those of the plain functions."""
    check(engine, data)


@pytest.mark.spark
@pytest.mark.skipif(
    importlib.util.find_spec("pyspark") is None or shutil.which("java") is None, reason="needs pyspark and Java"
)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@settings(everyday, max_examples=8)
@given(data=st.data())
def test_spark_agrees_with_the_plain_functions(check: Any, data: st.DataObject) -> None:
    """Spark gives the same figures; asked for with `-m spark`, because it takes minutes."""
    check("pyspark", data)


@given(rows=invoices(), on=days)
@settings(max_examples=25, deadline=None)
@pytest.mark.parametrize("engine", engines(("polars", "duckdb", "pandas of numpy")))
def test_moments_count_on_their_day(engine: str, rows: list[ka.Invoice], on: date) -> None:
    """A column of days asked on any day agrees as well."""
    found = frames.growth(frame_of(engine, invoices_in(rows)), on=on)
    assert found == portfolio.growth(rows, on=on)
