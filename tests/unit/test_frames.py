"""What frames are refused for, how amounts stay exact, and that lazy frames stay lazy."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

import keyaccount as ka
from engines import contracts_in, engines, frame_of, invoices_in
from keyaccount import portfolio

frames: Any = pytest.importorskip("keyaccount.frames", exc_type=ImportError)

ON = date(2026, 3, 31)
NOW = {"12 months": ka.Period.months_to(ON, 12)}


def bill(**changed: Any) -> dict[str, Any]:
    """Return the columns of one invoice, some of them changed."""
    row: dict[str, Any] = {
        "organisation_id": ("acme", "text"),
        "kind": ("invoice", "text"),
        "issued_on": (date(2026, 1, 31), "day"),
        "currency": ("EUR", "text"),
        "net": (Decimal("1.25"), "decimal"),
    }
    return {name: ([value], sort) for name, (value, sort) in {**row, **changed}.items()}


def sums(engine: str, columns: Any, **given: Any) -> list[list[int]]:
    """Return the sums of a frame by account and currency."""
    found = frames.turnover(frame_of(engine, columns), NOW, **given)
    return [list(flow.units) for flow in found.flows]


WRONG = {
    "no account": (bill(organisation_id=(None, "text")), "organisation_id"),
    "an empty account": (bill(organisation_id=("", "text")), "organisation_id"),
    "no day": (bill(issued_on=(None, "day")), "issued_on"),
    "no currency": (bill(currency=(None, "text")), "currency"),
    "no such currency": (bill(currency=("EURO", "text")), "currency"),
    "no such kind": (bill(kind=("Credit Note", "text")), "kind"),
    "no amount": (bill(net=(None, "decimal")), "net"),
    "an amount too large": (bill(net=(Decimal(10**12 + 1), "decimal")), "net"),
    "too many places": (bill(net=(Decimal("0.00001"), "wide decimal")), "net"),
    "a negative credit note": (bill(kind=("credit note", "text"), net=(Decimal(-1), "decimal")), "net"),
    "a float that is near no cent": (bill(net=(1.2501, "float")), "net"),
    "not a number": (bill(net=(float("nan"), "float")), "net"),
    "an endless number": (bill(net=(float("-inf"), "float")), "net"),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("engine", engines())
def test_a_row_that_cannot_be_counted_is_refused(engine: str, wrong: str) -> None:
    """It is never left out and never counted: the column is named, with the number of rows."""
    columns, field = WRONG[wrong]
    with pytest.raises(ka.ValidationError) as told:
        sums(engine, columns, decimals=2)
    assert [(problem.field, problem.value) for problem in told.value.problems] == [(field, "1 row")]


@pytest.mark.parametrize("engine", engines())
def test_floats_need_their_places(engine: str) -> None:
    """Floats are taken for the decimals they stand for, where the caller says of how many places; else refused."""
    columns = bill(net=(0.1 + 0.2, "float"))
    with pytest.raises(ka.ValidationError, match="decimals=2"):
        sums(engine, columns)
    assert sums(engine, columns, decimals=2) == [[3000]]


@pytest.mark.parametrize("engine", engines())
def test_sums_are_exact_beyond_64_bits(engine: str) -> None:
    """A thousand of the largest amounts add up to the last digit, though no 64 bits hold their sum."""
    rows = [ka.Invoice(f"i{n}", organisation_id="acme", issued_on=ON, net=ka.Money(10**12, "IDR")) for n in range(999)]
    rows += [ka.Invoice("odd", organisation_id="acme", issued_on=ON, net=ka.Money("0.0001", "IDR"))]
    found = frames.turnover(frame_of(engine, invoices_in(rows)), {"day": ka.Period(ON, date(2026, 4, 1))})
    assert [list(flow.units) for flow in found.flows] == [[999 * 10**16 + 1]]


@pytest.mark.parametrize("engine", engines())
def test_windows_are_exact_to_the_day(engine: str) -> None:
    """The first day of a window counts, its end does not: each amount is another power of ten."""
    days = [date(2025, 3, 30), date(2025, 3, 31), date(2026, 3, 30), date(2026, 3, 31)]
    rows = [
        ka.Invoice(f"i{n}", organisation_id="acme", issued_on=day, net=ka.Money(10**n, "EUR"))
        for n, day in enumerate(days)
    ]
    found = frames.turnover(frame_of(engine, invoices_in(rows)), NOW)
    assert [(list(flow.units), flow.first) for flow in found.flows] == [([1_100_000], days[0])]


@pytest.mark.parametrize("engine", engines())
def test_foreign_currencies_come_by_day(engine: str) -> None:
    """Each foreign amount is converted at the rate of its day: 10 x 2 + 100 x 3 and 1 of the own currency are 321."""
    days = [date(2026, 1, 31), date(2026, 2, 28)]
    rows = [
        ka.Invoice(f"i{n}", organisation_id="acme", issued_on=day, net=ka.Money(10**n, "USD" if n else "EUR"))
        for n, day in enumerate([days[0], *days])
    ]
    rates = {days[0]: 2, days[1]: 3}
    frame = frame_of(engine, invoices_in(rows))
    found = frames.average_value(frame, on=ON, currency="EUR", exchange=lambda _, day: rates[day])
    assert found.value == ka.Money(321, "EUR")


@pytest.mark.parametrize("engine", engines())
def test_what_may_be_missing(engine: str) -> None:
    """Without kind and ids all are invoices, negative ones too, and a figure has no records."""
    columns = bill(net=(Decimal(-5), "decimal"))
    del columns["kind"]
    assert sums(engine, columns) == [[-50_000]]
    found = frames.growth(frame_of(engine, columns), on=ON)
    assert tuple(found["acme"].records.numerator) == ()


@pytest.mark.parametrize("engine", engines(("polars, lazy", "duckdb")))
def test_lazy_frames_stay_lazy(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One query is run for a metric, and what comes back are sums: one row for an account and currency."""
    import narwhals as nw

    sizes: list[int] = []
    collect = nw.LazyFrame.collect

    def counted(self: Any, *args: Any, **given: Any) -> Any:
        found = collect(self, *args, **given)
        sizes.append(len(found))
        return found

    monkeypatch.setattr(nw.LazyFrame, "collect", counted)
    rows = [ka.Invoice(f"i{n}", organisation_id=f"a{n % 3}", issued_on=ON, net=ka.Money(n, "EUR")) for n in range(300)]
    frames.concentration(frame_of(engine, invoices_in(rows)), on=date(2026, 4, 30))
    assert sizes == [3]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (bill(issued_on=("2026-01-31", "text")), "issued_on.*must be a column of days"),
        (bill(net=("1.25", "text")), "net.*must be a column of decimals"),
        (bill(currency=(1.5, "float")), "currency.*must be a column of text"),
        ({"organisation_id": (["acme"], "text"), "issued": ([ON], "day")}, "issued_on.*did you mean 'issued'"),
    ],
)
def test_columns_of_another_type_are_refused(given: Any, message: str) -> None:
    """A column that is missing or of another type is named before anything is read."""
    with pytest.raises(ka.ValidationError, match=message):
        sums("polars", given)


def test_moments_have_no_zone() -> None:
    """A moment counts on the day it shows; one with a zone is refused, for it has no day of its own."""
    polars = pytest.importorskip("polars")
    moment = datetime(2026, 3, 30, 23, 59)  # noqa: DTZ001 - without a zone
    plain = {name: values for name, (values, _) in bill().items()}
    found = frames.turnover(polars.DataFrame({**plain, "issued_on": [moment]}), NOW)
    assert [(list(flow.units), flow.first) for flow in found.flows] == [([12_500], date(2026, 3, 30))]
    with pytest.raises(ka.ValidationError, match="must be a column of days"):
        frames.turnover(polars.DataFrame({**plain, "issued_on": [moment.replace(tzinfo=UTC)]}), NOW)


@pytest.mark.parametrize("frame", [None, 5, "invoices.csv", [{"organisation_id": "acme"}]])
def test_what_is_no_frame_is_refused(frame: Any) -> None:
    """Only frames are taken, of contracts too."""
    with pytest.raises(ka.ValidationError, match="must be a frame"):
        frames.growth(frame, on=ON)
    with pytest.raises(ka.ValidationError, match="must be a frame"):
        frames.recurring(frame, on=ON)


@pytest.mark.parametrize("decimals", [-1, 5, True, "2"])
def test_decimals_are_places(decimals: Any) -> None:
    """Places are a whole number from 0 to 4."""
    with pytest.raises(ka.ValidationError, match="decimals"):
        sums("polars", bill(), decimals=decimals)
    with pytest.raises(ka.ValidationError, match="decimals"):
        frames.recurring(frame_of("polars", contracts_in([])), on=ON, decimals=decimals)


def test_bad_contracts_are_told() -> None:
    """A row that makes no contract is told with its place and reason, and there is no figure without it."""
    good = ka.Contract("m-1", organisation_id="acme", signed_on=ON, starts_on=ON)
    columns = contracts_in([good, good])
    columns["id"] = (["m-1", "m-2"], "text")
    columns["notice"] = (["3 months", "some day"], "text")
    with pytest.raises(ka.ValidationError) as told:
        frames.recurring(frame_of("polars", columns), on=ON)
    assert [(problem.field, problem.place) for problem in told.value.problems] == [("notice", "frame:2")]


def test_the_extra_is_named_where_it_is_missing() -> None:
    """Without narwhals the import says what to install; the library itself does not ask for it."""
    code = (
        "import sys; sys.modules['narwhals'] = None\n"
        "import keyaccount as ka; ka.open().close()\n"
        "try:\n    import keyaccount.frames\nexcept ka.MissingExtra as error:\n    print(error.extra)"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout == "frames\n"


def test_the_same_names_and_options() -> None:
    """Every function here has the name and the options of the plain one."""
    import inspect

    for name in ("growth", "average_value", "concentration", "order_decline", "renewal_rate", "account_retention"):
        here, there = (inspect.signature(getattr(module, name)).parameters for module in (frames, portfolio))
        assert list(here)[1:] == [*list(there)[1:-1], "decimals", "options"]
