"""How much hangs on few? The shares of accounts or ultimate parents, and how concentrated they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from fractions import Fraction
from functools import partial
from typing import NamedTuple, Unpack

import attrs

from keyaccount.calendars import Period
from keyaccount.errors import ValidationError
from keyaccount.evidence import Excluded
from keyaccount.figures import Figure, Figures, Records, Value, rounded, units_together
from keyaccount.model.commerce import Invoice, Order
from keyaccount.money import Money
from keyaccount.questions import Options, Question, checked_count
from keyaccount.ratios import OVERLAP
from keyaccount.turnover import Basis, Trace, Turnover, Units, asked, by_unit, decided_on, mixed, turnover
from keyaccount.values import FrozenMap

WINDOW = "12 months"
TOP = (1, 5, 10)
MOST = Fraction(4, 5)
_DEFINITION = (
    "the sum of the squared shares (HHI: 1 is one alone, 1/n is n alike) in the net turnover of the 12 months up to "
    "the day, credit notes netted; those with a negative total are listed and not counted. Its parts are the shares"
)


def concentration_windows(on: date) -> dict[str, Period]:
    """Return the one window concentration is made of: the 12 months up to a day."""
    return {WINDOW: Period.months_to(on, 12)}


def concentration(
    documents: Iterable[Invoice] | Iterable[Order],
    *,
    on: date,
    basis: Basis = "invoices",
    top: Sequence[int] = TOP,
    **options: Unpack[Options],
) -> Figure:
    """Return how concentrated turnover is: the HHI of 12 months, with the shares as its parts, the largest first.

    By account, or with `level="parent"` by ultimate parent: the level first, then the sign of the total. Beside stand
    the share of the `top` so many, how few make 80 %, and 1/HHI, as how many alike they weigh. With `by=` the parts are
    the shares of managers, sectors, … instead. None where nothing was turned over.
    """
    question = asked(Period.months_to(on, 12), on, options)
    found = turnover(documents, concentration_windows(on), basis=basis, rates=question.rates)
    return concentration_of(found, question, top=top)


def concentration_of(found: Turnover, question: Question, *, top: Sequence[int] = TOP) -> Figure:
    """Return concentration from sums over `concentration_windows`, whoever added them up."""
    if not isinstance(top, (list, tuple)):
        raise ValidationError.of("portfolio", "top", top, "must be a list of whole numbers")
    for count in top:
        checked_count("top", count, low=1)
    rows = by_unit(found, question, decided_on(question))
    trace = Trace.of(found, rows, question)
    by_currency: defaultdict[str, list[_Holder]] = defaultdict(list)
    for one in rows:
        for currency, units in one.amounts.items():
            by_currency[currency].append(_Holder(one.unit, one.parts, units[0]))
    held = sorted(by_currency.items())
    figures = [_Market(question, trace, currency, holders, top).figure() for currency, holders in held]
    if len(figures) == 1:
        return figures[0]
    bare = _bare(question)
    if not figures:
        return attrs.evolve(bare, reason="nothing was turned over")
    parts = (attrs.evolve(each, part=currency) for currency, each in zip(sorted(by_currency), figures, strict=True))
    return attrs.evolve(bare, reason=mixed(sorted(by_currency)), parts=Figures(tuple(parts)))


class _Holder(NamedTuple):
    """One account, parent or part, and what it turned over."""

    unit: str
    parts: tuple[str, ...]
    units: Units


def _bare(question: Question) -> Figure:
    return Figure(
        "Concentration",
        None,
        definition=_DEFINITION,
        period=question.period,
        level=question.level,
        on=question.on,
        attribution=question.attribution,
    )


@attrs.frozen
class _Market:
    """All that was turned over in one currency."""

    question: Question
    trace: Trace
    currency: str
    holders: Sequence[_Holder]
    top: Sequence[int]

    def figure(self) -> Figure:
        """Return the HHI, what stands beside it, and the shares."""
        counted = sorted((one for one in self.holders if one.units > 0), key=lambda one: (-one.units, one.unit))
        negative = [Excluded(one.unit, f"negative: {self._money(one.units)}") for one in self.holders if one.units < 0]
        total = sum(one.units for one in counted)
        units = tuple(one.unit for one in counted)
        figure = attrs.evolve(
            _bare(self.question),
            numerator=None,
            records=Records(self.trace.ids(units, WINDOW, self.currency)),
            accounts=Records((), units),
            excluded=tuple(sorted(negative)),
            remarks=(
                *self.question.shared(units, decided_on(self.question)),
                *((OVERLAP,) if self.question.by == "group" else ()),
            ),
        )
        if not total:
            return attrs.evolve(figure, reason="nothing was turned over")
        index = Fraction(sum(one.units**2 for one in counted)) / total**2
        return attrs.evolve(
            figure,
            value=index,
            beside=FrozenMap(dict(self._beside(counted, total, index))),
            parts=Figures(tuple(self._shares(counted, total))),
        )

    def _money(self, units: Units) -> Money:
        return rounded(units, self.currency)

    def _beside(self, counted: Sequence[_Holder], total: Units, index: Fraction) -> Iterator[tuple[str, Value]]:
        yield "turnover", self._money(total)
        yield "counted", len(counted)
        for count in self.top:
            yield f"top {count}", Fraction(sum(one.units for one in counted[:count])) / total
        yield "make 80 %", _fewest(counted, total)
        yield "as many alike", 1 / index

    def _shares(self, counted: Sequence[_Holder], total: Units) -> Iterator[Figure]:
        """Yield each share of the total, the largest first; what is shown adds up to the total shown."""
        rows = [(one.unit, (one.unit,), one.units) for one in counted] if self.question.by is None else _parts(counted)
        whole = self._money(total)
        exact = [units for _, _, units in rows]
        shown = units_together(exact, whole) if self.question.by != "group" else exact
        for row, sum_ in zip(rows, shown, strict=True):
            yield Figure.later(row[0], partial(self._share, *row, sum_, total))

    def _share(self, name: str, units: tuple[str, ...], amount: Units, shown: Units, total: Units) -> Figure:
        return attrs.evolve(
            _bare(self.question),
            name="Share of turnover",
            value=Fraction(amount) / total,
            numerator=self._money(shown),
            denominator=self._money(total),
            definition="net turnover divided by that of all counted",
            records=Records(self.trace.ids(units, WINDOW, self.currency)),
            accounts=Records(units),
            part=name,
        )


def _parts(counted: Iterable[_Holder]) -> list[tuple[str, tuple[str, ...], Units]]:
    found: defaultdict[str, list[_Holder]] = defaultdict(list)
    for one in counted:
        for part in one.parts:
            found[part].append(one)
    rows = [(part, tuple(one.unit for one in some), sum(one.units for one in some)) for part, some in found.items()]
    return sorted(rows, key=lambda row: (-row[2], row[0]))


def _fewest(counted: Sequence[_Holder], total: Units) -> int:
    """Return how few of them, the largest first, make 80 % of the total."""
    reached: Units = 0
    most = total * MOST.numerator
    for count, one in enumerate(counted, 1):
        reached += one.units * MOST.denominator  # whole numbers compare faster than fractions
        if reached >= most:
            return count
    return len(counted)
