"""The metrics over data frames where they are: pandas, Polars, PyArrow, DuckDB, PySpark. An extra: `frames`.

The same names, options and answers as in `portfolio`. Of invoices and orders an engine adds up what is needed, and only
sums come here; contracts are few, and come as rows, account by account, for what followed them is judged in one place.
These functions trust what they are given, as those of `portfolio` do; `FrameFacts` lets a desk ask, with its rights.

Invoices and orders are one row a document:

- `organisation_id`: text.
- `issued_on` of invoices, `ordered_on` of orders: a day, or a moment without a zone.
- `currency`: ISO 4217.
- `net`: without tax; decimals, or whole numbers of the currency. Floats only with `decimals=`, the places they stand
  for. `net_units` instead: whole numbers of ten-thousandths.
- `kind` of invoices: `invoice` or `credit note`, whose `net` is not negative and counts negative. Without this column,
  or with nothing in it, invoices; their `net` may be negative.
- `state` of orders: as in `Order.state`; drafts and cancelled ones do not count, nor do orders without `net`. Without
  this column, or with nothing in it, they do.
- `id`, if there is one, makes `figure.records` work: it is looked up when somebody asks.

Contracts have columns named like the fields of `Contract`, with `value` as a number and its `currency` beside it, terms
as text ("3 months"), and `predecessor_ids` as a list; `id`, `organisation_id`, `signed_on`,
`starts_on` and `ends_on` must be there.

Further columns are left alone. What cannot be counted is refused by column and number of rows, and never left out.

Raises MissingExtra at import where narwhals is not installed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal, Unpack

import attrs

from keyaccount import portfolio
from keyaccount.calendars import Period
from keyaccount.catalogue import kind_of
from keyaccount.concentration import TOP
from keyaccount.contracts import LEAD_DAYS, Lead
from keyaccount.decline import ALERT_ABOVE, LAST, Month
from keyaccount.errors import StorageUnavailable, ValidationError
from keyaccount.expiring import DueContracts
from keyaccount.figures import Figure, Figures, Rates
from keyaccount.intake import Intake, Terms
from keyaccount.model.contracts import Contract
from keyaccount.money import Money
from keyaccount.movements import Movements
from keyaccount.questions import Options, Question
from keyaccount.readings import is_nothing
from keyaccount.renewal_rate import Measure
from keyaccount.summing import Documents, check_columns, check_decimals, collected, engine, opened
from keyaccount.tables import Stated, table_of_frame
from keyaccount.turnover import Basis, Turnover, asked

__all__ = [
    "FrameFacts",
    "account_retention",
    "average_value",
    "concentration",
    "contracts_in",
    "due",
    "expired_unrenewed",
    "gross_retention",
    "growth",
    "movements",
    "net_retention",
    "order_decline",
    "recurring",
    "renewal_rate",
    "turnover",
]

Span = Period | tuple[date, date]
NEEDED = ("id", "organisation_id", "signed_on", "starts_on", "ends_on")


# ---- over invoices and orders --------------------------------------------------------------------------------------


def growth(
    documents: Any,
    *,
    on: date,
    basis: Basis = "invoices",
    customer_since: Mapping[str, date] | None = None,
    decimals: int | None = None,
    **options: Unpack[Options],
) -> Figures:
    """Return by how much each account grew; see `portfolio.growth`."""
    windows = portfolio.growth_windows(on)
    question = asked(Period.months_to(on, 12), on, options)
    return portfolio.growth_of(_turnover(documents, windows, basis, question, decimals), question, customer_since)


def average_value(
    documents: Any,
    *,
    on: date,
    basis: Basis = "invoices",
    customer_since: Mapping[str, date] | None = None,
    decimals: int | None = None,
    **options: Unpack[Options],
) -> Figure:
    """Return what an account turned over in 12 months, on average; see `portfolio.average_value`."""
    windows = portfolio.average_windows(on)
    question = asked(Period.months_to(on, 12), on, options)
    return portfolio.average_of(_turnover(documents, windows, basis, question, decimals), question, customer_since)


def concentration(
    documents: Any,
    *,
    on: date,
    basis: Basis = "invoices",
    top: Sequence[int] = TOP,
    decimals: int | None = None,
    **options: Unpack[Options],
) -> Figure:
    """Return how concentrated turnover is; see `portfolio.concentration`."""
    windows = portfolio.concentration_windows(on)
    question = asked(Period.months_to(on, 12), on, options)
    return portfolio.concentration_of(_turnover(documents, windows, basis, question, decimals), question, top=top)


def order_decline(
    documents: Any,
    *,
    on: date,
    basis: Basis = "orders",
    month: Month = "closed",
    alert_above: Fraction | Decimal | int = ALERT_ABOVE,
    minimum_base: Money | None = None,
    decimals: int | None = None,
    **options: Unpack[Options],
) -> Figures:
    """Return by which share each account's orders fell; see `portfolio.order_decline`."""
    windows = portfolio.decline_windows(on, month=month)
    question = asked(windows[LAST], on, options)
    found = _turnover(documents, windows, basis, question, decimals)
    return portfolio.decline_of(found, question, month=month, alert_above=alert_above, minimum_base=minimum_base)


def turnover(
    documents: Any,
    windows: Mapping[str, Period],
    *,
    basis: Basis = "invoices",
    rates: Rates | None = None,
    decimals: int | None = None,
) -> Turnover:
    """Add up documents over windows in the engine, for formulas of your own; see `portfolio.turnover`."""
    return Documents.of(documents, basis, decimals).turnover(windows, rates or Rates())


def _turnover(
    documents: Any, windows: Mapping[str, Period], basis: Basis, question: Question, decimals: int | None
) -> Turnover:
    return turnover(documents, windows, basis=basis, rates=question.rates, decimals=decimals)


# ---- over contracts ------------------------------------------------------------------------------------------------


def renewal_rate(
    contracts: Any,
    period: Span,
    *,
    on: date,
    measure: Measure = "count",
    tacit: bool = True,
    decimals: int | None = None,
    **options: Unpack[Options],
) -> Figure:
    """Return the share of the accounts with a contract due that renewed; see `portfolio.renewal_rate`."""
    rows = contracts_in(contracts, decimals=decimals)
    return portfolio.renewal_rate(rows, period, on=on, measure=measure, tacit=tacit, **options)


def account_retention(
    contracts: Any, period: Span, *, on: date, decimals: int | None = None, **options: Unpack[Options]
) -> Figure:
    """Return the share of the accounts active at the start that are active at the end."""
    return portfolio.account_retention(contracts_in(contracts, decimals=decimals), period, on=on, **options)


def gross_retention(
    contracts: Any, period: Span, *, on: date, decimals: int | None = None, **options: Unpack[Options]
) -> Figure:
    """Return how much of the recurring value is still there, growth left out; see `portfolio.gross_retention`."""
    return portfolio.gross_retention(contracts_in(contracts, decimals=decimals), period, on=on, **options)


def net_retention(
    contracts: Any, period: Span, *, on: date, decimals: int | None = None, **options: Unpack[Options]
) -> Figure:
    """Return the recurring value at the end of the accounts of the start by theirs at the start."""
    return portfolio.net_retention(contracts_in(contracts, decimals=decimals), period, on=on, **options)


def movements(
    contracts: Any, period: Span, *, on: date, decimals: int | None = None, **options: Unpack[Options]
) -> Movements:
    """Return what moved the recurring value; see `portfolio.movements`."""
    return portfolio.movements(contracts_in(contracts, decimals=decimals), period, on=on, **options)


def recurring(
    contracts: Any,
    *,
    on: date,
    per: Literal["year", "month"] = "year",
    decimals: int | None = None,
    **options: Unpack[Options],
) -> Figure:
    """Return the recurring value of the contracts in force; see `portfolio.recurring`."""
    return portfolio.recurring(contracts_in(contracts, decimals=decimals), on=on, per=per, **options)


def expired_unrenewed(contracts: Any, *, on: date, decimals: int | None = None, **options: Unpack[Options]) -> Figure:
    """Return how many contracts ended and were not renewed; see `portfolio.expired_unrenewed`."""
    return portfolio.expired_unrenewed(contracts_in(contracts, decimals=decimals), on=on, **options)


def due(
    contracts: Any,
    *,
    on: date,
    within_days: int = 60,
    lead: Lead = LEAD_DAYS,
    progress: dict[str, str] | None = None,
    decimals: int | None = None,
    **options: Unpack[Options],
) -> DueContracts:
    """Return the contracts whose end or notice deadline lies near; see `portfolio.due`."""
    rows = contracts_in(contracts, decimals=decimals)
    return portfolio.due(rows, on=on, within_days=within_days, lead=lead, progress=progress, **options)


def contracts_in(frame: Any, *, decimals: int | None = None) -> Iterator[Contract]:
    """Yield the contracts of a frame, sorted by account in the engine, for any function over plain contracts.

    With `grouped=True` a metric holds one account at a time. Raises ValidationError that lists the bad rows, after the
    last.
    """
    check_decimals(decimals)
    kind = kind_of(Contract)
    with engine():
        data = opened(frame)
        check_columns(data, NEEDED, "contracts")
        known = [name for name in data.collect_schema().names() if name in kind.shapes or name == "currency"]
        rows = _rows(collected(data.select(known).sort("organisation_id", "id")))
    intake = Intake(table_of_frame(kind, rows, None, {}, Stated(decimals=decimals)), Terms(), None, (None, None))
    for given in intake.records():
        assert isinstance(given.record, Contract)  # noqa: S101 - the plan is of contracts
        yield given.record
    if intake.problems:
        raise intake.error()


def _rows(found: Any) -> Any:
    """Return the collected frame; of pandas its rows, with nothing as None and lists as lists."""
    if not found.implementation.is_pandas_like():
        return found.to_native()
    return [{name: _cell(value) for name, value in row.items()} for row in found.iter_rows(named=True)]


def _cell(value: Any) -> Any:
    if is_nothing(value):
        return None
    return value.tolist() if hasattr(value, "tolist") else value


# ---- for a desk ----------------------------------------------------------------------------------------------------


class FrameFacts:
    """Invoices and orders in frames, beside a book: a desk's metrics read sums there, and its rights from the store.

    Only the rows of accounts that the desk may read are added up: their ids travel to the engine as a semi-join. What
    is not given is read from the store; so is what needs single documents: open invoices, margins, discounts.
    """

    __slots__ = ("_decimals", "_frames")

    def __init__(self, *, invoices: Any = None, orders: Any = None, decimals: int | None = None) -> None:
        """Take a frame of either or both. Raises ValidationError where a column is missing."""
        given: dict[str, Any] = {"invoices": invoices, "orders": orders}
        self._frames = {basis: frame for basis, frame in given.items() if frame is not None}
        self._decimals = decimals
        if not self._frames:
            raise ValidationError.of("FrameFacts", "invoices", None, "is needed, or orders")
        for basis in self._frames:
            self._documents(basis)

    def _documents(self, basis: Any) -> Documents:
        return Documents.of(self._frames[basis], basis, self._decimals)

    def holds(self, basis: str) -> bool:
        """Say whether sums of invoices, or of orders, are to be asked for here."""
        return basis in self._frames

    def turnover(
        self, accounts: Collection[str], windows: Mapping[str, Period], basis: Basis, rates: Rates
    ) -> Turnover:
        """Add up the documents of some accounts, and look at no others."""
        found: Turnover = _alone(lambda: self._documents(basis).among(accounts).turnover(windows, rates))
        return attrs.evolve(found, find=lambda *asked: _alone(lambda: found.find(*asked)))

    def __repr__(self) -> str:
        """Show what is there."""
        return f"<FrameFacts: {', '.join(self._frames)}>"


def _alone(call: Callable[[], Any]) -> Any:
    """Tell that an engine failed, and not what it said: that may hold values of rows that a desk may not read."""
    try:
        return call()
    except StorageUnavailable as error:
        failed = StorageUnavailable(*error.args)
    raise failed
