"""Who orders less than before? The last month against the one before, and the same month a year ago beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import Literal, NamedTuple, Unpack

import attrs

from keyaccount.calendars import Period, plus_months
from keyaccount.errors import ValidationError
from keyaccount.evidence import Excluded
from keyaccount.figures import Figure, Figures, Records, Value
from keyaccount.model.commerce import Invoice, Order
from keyaccount.money import Money
from keyaccount.questions import Options, Question, checked_word
from keyaccount.ratios import Entry, Ratio
from keyaccount.turnover import (
    Basis,
    Sums,
    Trace,
    Turnover,
    Units,
    asked,
    by_unit,
    decided_on,
    in_each_currency,
    in_order,
    money,
    turnover,
)
from keyaccount.values import FrozenMap

Month = Literal["closed", "to date"]
MONTHS = ("closed", "to date")
LAST, PREVIOUS, YEAR_AGO = "last month", "month before", "same month last year"
ALERT_ABOVE = Fraction(1, 5)
_DECLINE = {
    "closed": "turnover of the last closed month taken from that of the month before, divided by the latter",
    "to date": "turnover of the month to date taken from that of as many days of the month before, divided by the "
    "latter",
}


def decline_windows(on: date, *, month: Month = "closed") -> dict[str, Period]:
    """Return the windows a decline is made of: the last month, the one before, and the last one's a year ago.

    Closed is a month that ended before the day. To date, all three have as many days: those of this month before the
    day, or as many as the shortest of the three months has.

    >>> [str(span.start) for span in decline_windows(date(2026, 11, 21)).values()]
    ['2026-10-01', '2026-09-01', '2025-10-01']
    """
    checked_word("month", month, MONTHS)
    this = Period.month(on.year, on.month) if isinstance(on, date) else Period.months_to(on, 0)
    start = plus_months(this.start, -1) if month == "closed" else this.start
    months = [Period.month(day.year, day.month) for day in (start, plus_months(start, -1), plus_months(start, -12))]
    if month == "to date":
        days = timedelta(min((on - this.start).days, *(each.days for each in months)))
        months = [Period(each.start, each.start + days) for each in months]
    return dict(zip((LAST, PREVIOUS, YEAR_AGO), months, strict=True))


def order_decline(
    documents: Iterable[Order] | Iterable[Invoice],
    *,
    on: date,
    basis: Basis = "orders",
    month: Month = "closed",
    alert_above: Fraction | Decimal | int = ALERT_ABOVE,
    minimum_base: Money | None = None,
    **options: Unpack[Options],
) -> Figures:
    """Return by which share each account's orders fell in the last closed month: a figure by account.

    `beside` holds what was ordered in each window, `alert` (1 where the decline is above the limit, not at it) and
    `seasonal` (1 where against the same month last year there is no such decline; it changes no alert). Without orders
    in the month before, or with less than `minimum_base`, there is no base and no alert. With `month="to date"` this
    month so far is compared with as many days of the month before. `basis="invoices"` nets credit notes.
    """
    windows = decline_windows(on, month=month)
    question = asked(windows[LAST], on, options)
    found = turnover(documents, windows, basis=basis, rates=question.rates)
    return decline_of(found, question, month=month, alert_above=alert_above, minimum_base=minimum_base)


def decline_of(
    found: Turnover,
    question: Question,
    *,
    month: Month = "closed",
    alert_above: Fraction | Decimal | int = ALERT_ABOVE,
    minimum_base: Money | None = None,
) -> Figures:
    """Return declines from sums over `decline_windows`, whoever added them up."""
    limit = _limit(alert_above)
    if minimum_base is not None and not isinstance(minimum_base, Money):
        raise ValidationError.of("portfolio", "minimum_base", minimum_base, "must be Money")
    rows = by_unit(found, question, decided_on(question))
    trace = Trace.of(found, rows, question)
    asking = _Asking(question, trace, limit, minimum_base, _DECLINE[month])
    whole = asking.whole(rows)
    return Figures(tuple(Figure.later(one.unit, partial(asking.row, one)) for one in rows), whole)


def _limit(share: Fraction | Decimal | int) -> Fraction:
    fits = isinstance(share, (Fraction, Decimal, int)) and not isinstance(share, bool)
    if not fits or (isinstance(share, Decimal) and not share.is_finite()) or not 0 <= share <= 1:
        raise ValidationError.of("portfolio", "alert_above", share, "must be a Fraction or Decimal from 0 to 1")
    return Fraction(share)


class Decline(NamedTuple):
    """How far a month lies below the one before; `share` is None with a `reason` where there is no base.

    `seasonal` is None where the same month last year says nothing.
    """

    share: Fraction | None
    reason: str | None
    alert: bool
    seasonal: bool | None


def declined(
    last: Units, before: Units, year_ago: Units, *, limit: Fraction = ALERT_ABOVE, minimum: Units = 0
) -> Decline:
    """Return the decline from one month to the next; the same month last year tells whether it is the season's.

    >>> declined(70, 100, 71).share, declined(80, 100, 0).alert, declined(0, 0, 5).reason
    (Fraction(3, 10), False, 'no base: nothing in the month before')
    """
    reason = no_base(before, minimum)
    if reason is not None:
        return Decline(None, reason, alert=False, seasonal=None)
    share = Fraction(before - last, before)
    seasonal = Fraction(year_ago - last, year_ago) <= limit if year_ago > 0 else None
    return Decline(share, None, share > limit, seasonal)


def no_base(before: Units, minimum: Units = 0) -> str | None:
    """Return why a month is nothing to compare with; None where it is."""
    if before <= 0:
        return "no base: nothing in the month before"
    return "no base: less than the minimum in the month before" if before < minimum else None


@attrs.frozen
class _Asking:
    """What every row is judged by."""

    question: Question
    trace: Trace
    limit: Fraction
    minimum_base: Money | None
    definition: str

    def judged(self, units: Sequence[Units], currency: str | None) -> Decline:
        """Judge the three months of an account in one currency."""
        last, before, year_ago = units or (0, 0, 0)
        return declined(last, before, year_ago, limit=self.limit, minimum=self._minimum(currency))

    def _minimum(self, currency: str | None) -> int:
        if self.minimum_base is None or currency is None:
            return 0
        if self.minimum_base.currency != currency:
            raise ValidationError.of("portfolio", "minimum_base", self.minimum_base, f"is not in {currency}")
        return self.minimum_base.units

    def row(self, one: Sums) -> Figure:
        """Return the figure of one account."""
        return in_each_currency(one, self.question, lambda currency, units: self._figure(one, currency, units))

    def _figure(self, one: Sums, currency: str | None, units: Sequence[Units]) -> Figure:
        last, before, year_ago = units or (0, 0, 0)
        found = self.judged(units, currency)
        question, trace = self.question, self.trace
        amounts = {LAST: last, PREVIOUS: before, YEAR_AGO: year_ago}
        beside: dict[str, Value] = {name: money(sum_, currency) for name, sum_ in amounts.items()}
        beside["alert"] = int(found.alert)
        beside["seasonal"] = None if found.seasonal is None else int(found.seasonal)
        return Figure(
            "Order decline",
            found.share,
            money(before - last, currency),
            money(before, currency),
            found.reason,
            Records(trace.ids([one.unit], LAST, currency), trace.ids([one.unit], PREVIOUS, currency)),
            Records((), (one.unit,)),
            definition=self.definition,
            period=question.period,
            level=question.level,
            on=question.on,
            attribution=question.attribution,
            part=one.unit,
            beside=FrozenMap(beside),
            remarks=_marked(found),
        )

    def whole(self, rows: Iterable[Sums]) -> Figure:
        """Return the decline of all accounts that have a base, taken together."""
        entries, excluded = [], []
        for one in rows:
            for currency, (last, before, _) in in_order(one.amounts) or ((self.question.currency, (0, 0, 0)),):
                reason = no_base(before, self._minimum(currency))
                if reason is not None:
                    excluded.append(Excluded(one.unit, reason))
                else:
                    entries.append(Entry(one.unit, one.parts, before - last, before, (), (), currency))
        ratio = Ratio(
            "Order decline",
            f"of the accounts that have a base: {self.definition}",
            "no account has a base",
            self.question,
            self.question.level,
            tuple(excluded),
            remarks=self.question.shared((entry.unit for entry in entries), decided_on(self.question)),
        )
        return self.trace.traced(ratio.figure(entries), LAST, PREVIOUS)


def _marked(found: Decline) -> tuple[str, ...]:
    if not found.alert:
        return ()
    return ("Alert.", "Seasonal: no such decline against the same month last year.") if found.seasonal else ("Alert.",)
