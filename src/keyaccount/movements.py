"""What recurs, and what moved it: recurring value on a day; new, reactivated, expansion, contraction and churn.

Found account by account by comparing each day with the day before. Values are exact inside; what is shown together is
rounded together, so that start + movements = end, to the cent.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from fractions import Fraction
from typing import Literal, NamedTuple, Unpack

import attrs

from keyaccount.calendars import ONE_DAY, Period
from keyaccount.errors import ValidationError
from keyaccount.evidence import Excluded, Gathered, left_out
from keyaccount.figures import Figure, one_currency, rounded, rounded_together, shown_in_order
from keyaccount.model.contracts import Contract
from keyaccount.money import Money
from keyaccount.questions import Options, Question, checked_word, of_several
from keyaccount.ratios import OVERLAP, Amount, Sum
from keyaccount.results import Result, Rows
from keyaccount.succession import Standing, yearly

Units = Fraction | int
KINDS = ("new", "reactivated", "expansion", "contraction", "churn")
_MONTHS = {"year": 12, "month": 1}


def recurring(
    contracts: Iterable[Contract], *, on: date, per: Literal["year", "month"] = "year", **options: Unpack[Options]
) -> Figure:
    """Return the recurring value of the contracts in force on a day, a year or a month.

    Overlapping contracts add; a successor takes over from its first day; `once` is not recurring. None where nothing
    recurs and no `currency` says what nothing is counted in.

    >>> fee, start = Money("99.50", "EUR"), date(2026, 1, 1)
    >>> support = Contract(organisation_id="acme", signed_on=start, starts_on=start, value=fee, value_per="month")
    >>> recurring([support], on=date(2026, 3, 1)).value
    Money('1194', 'EUR')
    """
    checked_word("per", per, _MONTHS)
    question = Question.of(_day(on), on, options)
    excluded, shared = left_out(), set[str]()
    amounts = _amounts(contracts, question, excluded, shared, 1 if per == "year" else Fraction(1, 12))
    figure = Sum(
        name=f"Recurring value a {per}",
        definition=f"of the contracts in force on the day: value divided by months of term, times {_MONTHS[per]}",
        empty="no contract in force has recurring value",
        question=question,
    ).figure(amounts if question.grouped else sorted(amounts, key=_by_contract))
    remarks = (*of_several(shared), *figure.remarks)
    return attrs.evolve(figure, excluded=excluded.told(sorts=True), remarks=remarks)


def _by_contract(amount: Amount) -> str:
    return amount.contract_id


def _day(on: date) -> Period:
    return Period(on, on + ONE_DAY if isinstance(on, date) and on < date.max else on)


def _amounts(
    contracts: Iterable[Contract],
    question: Question,
    excluded: Gathered[Excluded],
    shared: set[str],
    factor: Units,
) -> Iterator[Amount]:
    on, rates = question.on, question.rates
    for batch in question.standings(contracts, excluded):
        for row in batch:
            account, value = question.unit(row.known.account), row.known.value
            if not row.counts(on) or not question.asks_for(row.known.account, on):
                continue
            units = yearly(row.known)
            if units is None or value is None:
                excluded.extend((_not_recurring(row),))
                continue
            if question.is_shared(account, on):
                shared.add(account)
            exact = rates.convert(units, value.currency, on) * factor
            parts = question.parts(account, on)
            yield Amount(account, parts, exact, row.known.id, rates.target(value.currency))


def _not_recurring(row: Standing) -> Excluded:
    per = row.known.value_per
    return Excluded(row.known.id, "no value" if row.known.value is None else f"value {per}: not recurring")


# ---- movements -----------------------------------------------------------------------------------------------------


@attrs.frozen(repr=False)
class Movement(Result):
    """What one account's yearly recurring value did on one day; `amount` has its sign, so that rows add up.

    `kind` is new, reactivated, expansion, contraction or churn. A `gap` is churn, or the reactivation after it, where a
    successor starts within the grace. `contract_ids` began or stopped to count on that day.
    """

    day: date
    account: str
    kind: str
    amount: Money
    contract_ids: tuple[str, ...]
    gap: bool = False


@attrs.frozen(repr=False)
class Movements(Rows[Movement]):
    """How yearly recurring value got from the start of a period to its end.

    start + new + reactivated + expansion - contraction - churn + exchange = end, to the cent; `exchange` is what the
    rates alone moved, and has its sign. All are None, with a `reason`, where nothing ever recurred and no currency was
    given. `parts` is there where `by=` was given.
    """

    start: Money | None
    new: Money | None
    reactivated: Money | None
    expansion: Money | None
    contraction: Money | None
    churn: Money | None
    exchange: Money | None
    end: Money | None
    rows: tuple[Movement, ...]
    period: Period
    on: date
    reason: str | None = None
    excluded: Sequence[Excluded] = ()
    provisional: bool = False
    level: str = "account"
    attribution: str = "then"
    part: str | None = None
    parts: tuple[Movements, ...] | None = None
    remarks: tuple[str, ...] = ()
    definition: str = (
        "yearly recurring value by account, each day compared with the day before; churn is dated the day after the "
        "end. Foreign amounts at the rate of each movement's day, balances at the rate of the day before"
    )

    def explain(self) -> str:
        """Return the movements as text: the balances, what lies between, and the records of each."""
        return "\n".join(_explained(self))


def movements(
    contracts: Iterable[Contract], period: Period | tuple[date, date], *, on: date, **options: Unpack[Options]
) -> Movements:
    """Return how recurring value moved in a period: found by account and day, netted to one row a day.

    A gap before a successor, however short, is churn and reactivation. Several currencies need `currency=` and
    `exchange=`; without them a ValidationError names the currencies.
    """
    question = Question.of(period, on, options)
    if question.level == "contract":
        raise ValidationError.of("portfolio", "level", "contract", "is not offered here: accounts or parents move")
    excluded = left_out()
    found = [_moved(one, question) for one in _courses(contracts, question, excluded)]
    return _told(found, question, excluded.told(sorts=True))


class _Step(NamedTuple):
    """One contract begins (above zero) or stops to count on a day."""

    day: date
    units: Units
    currency: str
    contract_id: str


@attrs.define
class _Course:
    """The steps of one account, and the days of its gaps."""

    account: str
    steps: list[_Step] = attrs.field(factory=list)
    gaps: set[date] = attrs.field(factory=set)


class _Row(NamedTuple):
    day: date
    account: str
    kind: str
    units: Units
    contract_ids: tuple[str, ...]
    gap: bool


class _Moved(NamedTuple):
    """The balances and the rows of one account, exact."""

    account: str
    start: Units
    end: Units
    rows: list[_Row]
    currencies: frozenset[str]
    parts: tuple[str, ...]


def _courses(contracts: Iterable[Contract], question: Question, excluded: Gathered[Excluded]) -> Iterator[_Course]:
    last = question.closing or date.min
    found: dict[str, _Course] = {}
    for batch in question.standings(contracts, excluded):
        for row in batch:
            if row.known.start >= question.period.end or not question.asks_for(row.known.account, last):
                continue
            account = question.unit(row.known.account)
            course = found.setdefault(account, _Course(account))
            if not _add(row, course, question.matching.grace_days) and row.in_force(max(row.known.start, last)):
                excluded.extend((_not_recurring(row),))
        if question.grouped and question.level == "account":
            yield from found.values()
            found.clear()
    yield from (found[account] for account in sorted(found))


def _add(row: Standing, course: _Course, grace_days: int) -> bool:
    """Add the steps of one contract; say whether its value recurs."""
    units, value, last = yearly(row.known), row.known.value, row.counted_to
    if units is None or value is None:
        return False
    if last is None or last >= row.known.start:
        course.steps.append(_Step(row.known.start, units, value.currency, row.known.id))
        if last is not None and last < date.max:
            course.steps.append(_Step(last + ONE_DAY, -units, value.currency, row.known.id))
    if row.last is not None and row.last < date.max:
        next_day = row.last + ONE_DAY
        late = [one.start for one in row.successors if 0 < (one.start - next_day).days <= grace_days]
        course.gaps.update(late, [next_day] if late else ())
    return True


def _moved(course: _Course, question: Question) -> _Moved:
    """Compare each day of an account with the day before."""
    period, rates, on = question.period, question.rates, question.on
    balance: defaultdict[str, Units] = defaultdict(int)
    days: defaultdict[date, list[_Step]] = defaultdict(list)
    for step in course.steps:
        days[step.day].append(step)

    def worth(day: date | None) -> Units:
        at = min(day or date.min, on)
        return sum(rates.convert(units, currency, at) for currency, units in balance.items() if units)

    rows: list[_Row] = []
    start: Units | None = None
    ever = False
    for day in sorted(day for day in days if day < period.end):
        if start is None and day >= period.start:
            start = worth(question.opening)
        had, before = any(balance.values()), worth(day) if day >= period.start else 0
        for step in days[day]:
            balance[step.currency] += step.units
        has = any(balance.values())
        moved = worth(day) - before if day >= period.start else 0
        if moved or (had != has and day >= period.start):
            kind = _kind(had, has, ever, moved)
            ids = tuple(sorted(step.contract_id for step in days[day]))
            rows.append(_Row(day, course.account, kind, moved, ids, had != has and day in course.gaps))
        ever = ever or has
    end = worth(question.closing)
    if start is None:
        start = worth(question.opening)
    currencies = frozenset(rates.target(step.currency) for step in course.steps)
    return _Moved(
        course.account, start, end, rows, currencies, question.parts(course.account, question.closing or date.min)
    )


def _kind(had: bool, has: bool, ever: bool, moved: Units) -> str:  # noqa: FBT001
    if not had:
        return "reactivated" if ever else "new"
    if not has:
        return "churn"
    return "expansion" if moved > 0 else "contraction"


# ---- shown together ------------------------------------------------------------------------------------------------


def _told(found: list[_Moved], question: Question, excluded: Sequence[Excluded]) -> Movements:
    currencies = {one for moved in found for one in moved.currencies} or {question.currency or ""}
    currency = one_currency(currencies, "portfolio")
    shared = question.shared((one.account for one in found), question.closing or date.min)
    remarks = (*question.unfinished, *shared, *((OVERLAP,) if question.by == "group" else ()))
    if not currency:
        nothing = "no contract has recurring value"
        when = question.period, question.on
        return Movements(None, None, None, None, None, None, None, None, (), *when, reason=nothing, excluded=excluded)
    whole = _rounded(found, currency, question)
    return attrs.evolve(
        whole, excluded=excluded, remarks=remarks, parts=None if question.by is None else _parts(found, whole, question)
    )


def _rounded(found: list[_Moved], currency: str, question: Question) -> Movements:
    """Round the balances, then the kinds so that they lead from one to the other, then the rows of each kind."""
    start, end = (rounded(sum(side), currency) for side in ([m.start for m in found], [m.end for m in found]))
    rows = sorted((row for moved in found for row in moved.rows), key=lambda row: (row.day, row.account))
    exact = {kind: sum(row.units for row in rows if row.kind == kind) for kind in KINDS}
    exact["exchange"] = sum(m.end - m.start for m in found) - sum(exact.values())
    totals = dict(zip(exact, rounded_together(list(exact.values()), end - start), strict=True))
    amounts = {
        kind: iter(rounded_together([row.units for row in rows if row.kind == kind], totals[kind])) for kind in KINDS
    }
    told = tuple(
        Movement(row.day, row.account, row.kind, next(amounts[row.kind]), row.contract_ids, row.gap) for row in rows
    )
    return _whole(start, end, totals, told, question)


def _whole(
    start: Money, end: Money, totals: Mapping[str, Money], rows: tuple[Movement, ...], question: Question
) -> Movements:
    return Movements(
        start,
        totals["new"],
        totals["reactivated"],
        totals["expansion"],
        -totals["contraction"],
        -totals["churn"],
        totals["exchange"],
        end,
        rows,
        question.period,
        question.on,
        provisional=bool(question.unfinished),
        level=question.level,
        attribution=question.attribution,
    )


def _parts(found: list[_Moved], whole: Movements, question: Question) -> tuple[Movements, ...]:
    """Split the movements so that the parts add up to the whole; groups overlap, and are each rounded alone."""
    by_part: defaultdict[str, list[_Moved]] = defaultdict(list)
    for moved in found:
        for part in moved.parts:
            by_part[part].append(moved)
    names = shown_in_order(by_part)
    currency = whole.start.currency if whole.start is not None else ""
    if question.by == "group":
        return tuple(attrs.evolve(_rounded(by_part[name], currency, question), part=name) for name in names)
    assert whole.start is not None  # noqa: S101 - there is a currency
    assert whole.exchange is not None  # noqa: S101
    starts = rounded_together([sum(m.start for m in by_part[name]) for name in names], whole.start)
    moved_by_rates = [sum(m.end - m.start - sum(row.units for row in m.rows) for m in by_part[name]) for name in names]
    exchanges = rounded_together(moved_by_rates, whole.exchange)
    return tuple(
        _part({m.account for m in by_part[name]}, one, other, whole, question, name=name)
        for name, one, other in zip(names, starts, exchanges, strict=True)
    )


def _part(
    accounts: set[str], start: Money, exchange: Money, whole: Movements, question: Question, *, name: str
) -> Movements:
    rows = tuple(row for row in whole.rows if row.account in accounts)
    totals = {kind: Money.total((row.amount for row in rows if row.kind == kind), start.currency) for kind in KINDS} | {
        "exchange": exchange
    }
    end = Money.total((start, *totals.values()), start.currency)
    return attrs.evolve(_whole(start, end, totals, rows, question), part=name)


def _explained(found: Movements) -> Iterator[str]:
    of = "" if found.part is None else f" of {found.part}"
    yield f"Movements{of} from {found.period.start} up to {found.period.end}, as known on {found.on}"
    if found.reason is not None:
        yield f"  no value ({found.reason})"
    signs = ("", "+", "+", "+", "-", "-", "±", "=")
    for sign, name in zip(signs, ("start", *KINDS, "exchange", "end"), strict=True):
        yield f"  {sign:1} {name:12} {getattr(found, name)}"
        yield from (_line(row) for row in found.rows if row.kind == name)
    yield from (f"  {remark}" for remark in found.remarks)
    yield from (f"  left out: {one.id}: {one.reason}" for one in found.excluded)
    yield f"  Definition ({found.level} level): {found.definition}"


def _line(row: Movement) -> str:
    return f"      {row.day} {row.account} {row.amount} ({', '.join(row.contract_ids)}){' gap' if row.gap else ''}"
