"""How counted entries become a figure: added up as they come, whole and by part, with their records."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import chain, groupby, islice
from typing import NamedTuple

import attrs

from keyaccount.evidence import Excluded, Gathered, ids
from keyaccount.figures import Figure, Figures, Records, Value, rounded, rounded_together, shown_in_order
from keyaccount.money import Money
from keyaccount.questions import Question
from keyaccount.values import FrozenMap

OVERLAP = "The parts overlap: an account may be in several groups."


# ---- shares --------------------------------------------------------------------------------------------------------


class Entry(NamedTuple):
    """One account, chain or due contract with what it adds to both sides of a fraction.

    Sums in ten-thousandths where they are money of `currency`; `outcome` is empty where nothing is decided by it.
    """

    unit: str
    parts: tuple[str, ...]
    numerator: Fraction | int
    denominator: Fraction | int
    counted: Sequence[str]
    out_of: Sequence[str]
    currency: str | None = None
    outcome: str = ""
    tacit: int = 0
    inferred: int = 0
    provisional: bool = False


_AT_ONCE = 1_000


class _Tally:
    """Entries added up as they come; a unit whose entries stand together is named once.

    `decided` are both sides of what is not pending. From the second currency on each has a tally of its own.
    """

    __slots__ = (
        "bottom", "by_currency", "counted", "currency", "decided", "decided_in", "inferred", "out_of", "outcomes",
        "provisional", "tacit", "top", "units", "units_of", "with_some", "with_some_of",
    )  # fmt: skip

    def __init__(self) -> None:
        self.top: Fraction | int = 0
        self.bottom: Fraction | int = 0
        self.currency: str | None = None
        self.by_currency: dict[str, _Tally] = {}
        self.counted, self.out_of, self.with_some, self.units = ids(), ids(), ids(), ids()
        self.with_some_of: str | None = None
        self.units_of: str | None = None
        self.outcomes: Counter[str] = Counter()
        self.decided: tuple[Fraction | int, Fraction | int] = (0, 0)
        self.decided_in: set[str | None] = set()
        self.tacit = self.inferred = 0
        self.provisional = False

    def add(self, rows: Sequence[Entry]) -> None:
        """Add some entries."""
        currencies = {row.currency for row in rows} - {None}
        if self.currency is None and len(currencies) == 1:
            (self.currency,) = currencies
        if currencies <= {self.currency, *self.by_currency}:
            self._add(rows)
            for currency, tally in self.by_currency.items():
                tally._add([row for row in rows if row.currency == currency])
            return
        for row in rows:
            self._tell_apart(row)
            self._add((row,))
            if self.by_currency and row.currency is not None:
                self.by_currency[row.currency]._add((row,))

    def _add(self, rows: Sequence[Entry]) -> None:
        """Add entries column by column, which takes a third of the time of one after the other."""
        self.top += sum([row.numerator for row in rows])
        self.bottom += sum([row.denominator for row in rows])
        self.counted.extend(chain.from_iterable([row.counted for row in rows]))
        self.out_of.extend(chain.from_iterable([row.out_of for row in rows]))
        self.with_some_of = _name_each(self.with_some, self.with_some_of, [row.unit for row in rows if row.numerator])
        self.units_of = _name_each(self.units, self.units_of, [row.unit for row in rows])
        self.outcomes.update([row.outcome for row in rows])
        for row in [row for row in rows if row.outcome not in ("pending", "")]:
            self.decided = self.decided[0] + row.numerator, self.decided[1] + row.denominator
            self.decided_in.add(row.currency)
        self.tacit += sum([row.tacit for row in rows])
        self.inferred += sum([row.inferred for row in rows])
        self.provisional = self.provisional or any(row.provisional for row in rows)

    def _tell_apart(self, row: Entry) -> None:
        """Begin with the first currency, or keep each currency's tally from the second on."""
        if row.currency in (None, self.currency):
            return
        if self.currency is None:
            self.currency = row.currency
            return
        if not self.by_currency:
            self.by_currency = {self.currency: self._copy()}
        self.by_currency.setdefault(row.currency or "", _Tally())

    def _copy(self) -> _Tally:
        other = _Tally()
        for name in self.__slots__:
            value = getattr(self, name)
            setattr(other, name, value.copy() if isinstance(value, (Gathered, Counter, dict, set)) else value)
        return other

    def beside(self) -> FrozenMap[str, Value]:
        """Count what was decided, where something was: renewed, lost and pending are all that was due."""
        if not self.outcomes or "" in self.outcomes:
            return FrozenMap()
        top, bottom = self.decided
        return FrozenMap(
            {
                **{name: self.outcomes[name] for name in ("renewed", "lost", "pending")},
                "tacit": self.tacit,
                "inferred": self.inferred,
                "decided": Fraction(top) / bottom if bottom and len(self.decided_in) == 1 else None,
            }
        )


@attrs.frozen
class Ratio:
    """A share of counted entries, and how it is told; `together` where the entries of a unit stand together."""

    name: str
    definition: str
    empty: str
    question: Question
    level: str
    excluded: Sequence[Excluded] = ()
    provisional: bool = False
    remarks: tuple[str, ...] = ()
    together: bool = False

    def figure(self, entries: Iterable[Entry]) -> Figure:
        """Return the figure of all entries, with its parts where a split was asked for."""
        whole, parts, left = _Tally(), defaultdict[str, _Tally](_Tally), iter(entries)
        while some := list(islice(left, _AT_ONCE)):
            whole.add(some)
            by_part = defaultdict[str, list[Entry]](list)
            for row in some:
                for part in row.parts:
                    by_part[part].append(row)
            for part, rows in by_part.items():
                parts[part].add(rows)
        by = self.question.by
        overlap = (OVERLAP,) if by == "group" else ()
        figure = attrs.evolve(self._figure(whole), excluded=self.excluded, remarks=(*self.remarks, *overlap))
        return figure if by is None else attrs.evolve(figure, parts=self._parts(parts, figure))

    def _parts(self, by_part: dict[str, _Tally], whole: Figure) -> Figures:
        names = shown_in_order(by_part)
        found = [attrs.evolve(self._figure(by_part[name]), part=name) for name in names]
        if self.question.by == "group" or not isinstance(whole.denominator, Money):
            return Figures(tuple(found))
        return Figures(tuple(_adding_up(found, [by_part[name] for name in names], whole)))

    def _figure(self, tally: _Tally) -> Figure:
        question, counts_units = self.question, self.level != "contract"
        figure = Figure(
            self.name,
            None,
            records=Records(tally.counted.told(), tally.out_of.told()),
            accounts=Records(self._named(tally.with_some), self._named(tally.units)) if counts_units else Records(),
            provisional=self.provisional or tally.provisional,
            definition=self.definition,
            period=question.period,
            level=self.level,
            on=question.on,
            attribution=question.attribution,
            beside=tally.beside(),
        )
        currencies = sorted(tally.by_currency)
        if currencies:  # there is no whole without the host's rates
            parts = [attrs.evolve(self._figure(tally.by_currency[one]), part=one) for one in currencies]
            return attrs.evolve(figure, reason=_mixed(currencies), parts=Figures(tuple(parts)))
        sides = [rounded(side, tally.currency) if tally.currency else side for side in (tally.top, tally.bottom)]
        value = Fraction(tally.top) / tally.bottom if tally.bottom else None
        reason = None if tally.bottom else self.empty
        return attrs.evolve(figure, value=value, numerator=sides[0], denominator=sides[1], reason=reason)

    def _named(self, units: Gathered[str]) -> Sequence[str]:
        """Return the units, each once."""
        found = units.told()
        return found if self.together else tuple(dict.fromkeys(found))


def _name_each(named: Gathered[str], last: str | None, units: Sequence[str]) -> str | None:
    """Name units, each once where they stand together; return the last one named."""
    each = [unit for unit, _ in groupby(units)]
    named.extend(each[1:] if each and each[0] == last else each)
    return each[-1] if each else last


def _adding_up(parts: list[Figure], tallies: list[_Tally], whole: Figure) -> Iterator[Figure]:
    """Round both sides of the parts so that they add up to the whole's."""
    top, bottom = whole.numerator, whole.denominator
    assert isinstance(top, Money)  # noqa: S101 - the caller asked
    assert isinstance(bottom, Money)  # noqa: S101
    tops = rounded_together([tally.top for tally in tallies], top)
    bottoms = rounded_together([tally.bottom for tally in tallies], bottom)
    for part, one, other in zip(parts, tops, bottoms, strict=True):
        yield attrs.evolve(part, numerator=one, denominator=other)


# ---- sums ----------------------------------------------------------------------------------------------------------


class Amount(NamedTuple):
    """What one contract adds to a sum, in ten-thousandths of a currency."""

    account: str
    parts: tuple[str, ...]
    units: Fraction | int
    contract_id: str
    currency: str


class _Added:
    """Amounts added up as they come; from the second currency on each has a sum of its own."""

    __slots__ = ("accounts", "by_currency", "currency", "ids", "units")

    def __init__(self) -> None:
        self.units: Fraction | int = 0
        self.currency: str | None = None
        self.ids = ids()
        self.accounts: dict[str, None] = {}
        self.by_currency: dict[str, _Added] = {}

    def add(self, row: Amount) -> None:
        """Add one amount."""
        if row.currency != self.currency:
            self._tell_apart(row.currency)
        self.units += row.units
        self.ids.extend((row.contract_id,))
        self.accounts[row.account] = None
        if self.by_currency:
            self.by_currency[row.currency].add(row)

    def _tell_apart(self, currency: str) -> None:
        if self.currency is None:
            self.currency = currency
            return
        if not self.by_currency:
            own = self.by_currency[self.currency] = _Added()
            own.units, own.currency, own.ids, own.accounts = (
                self.units, self.currency, self.ids.copy(), dict(self.accounts),
            )  # fmt: skip
        self.by_currency.setdefault(currency, _Added())


@attrs.frozen
class Sum:
    """A sum of money, and how it is told."""

    name: str
    definition: str
    empty: str
    question: Question
    excluded: Sequence[Excluded] = ()
    remarks: tuple[str, ...] = ()

    def figure(self, amounts: Iterable[Amount]) -> Figure:
        """Return the figure of all amounts, with its parts where a split was asked for."""
        added, by_part = _Added(), dict[str, _Added]()
        for row in amounts:
            added.add(row)
            for part in row.parts:
                if part not in by_part:
                    by_part[part] = _Added()
                by_part[part].add(row)
        whole = attrs.evolve(self._figure(added), excluded=self.excluded, remarks=self.remarks)
        by = self.question.by
        if by is None:
            return whole
        names = shown_in_order(by_part)
        parts = [attrs.evolve(self._figure(by_part[name]), part=name) for name in names]
        if by == "group":
            return attrs.evolve(whole, parts=Figures(tuple(parts)), remarks=(*whole.remarks, OVERLAP))
        if isinstance(whole.value, Money):
            together = rounded_together([by_part[name].units for name in names], whole.value)
            parts = [attrs.evolve(part, value=value) for part, value in zip(parts, together, strict=True)]
        return attrs.evolve(whole, parts=Figures(tuple(parts)))

    def _figure(self, added: _Added) -> Figure:
        question, currencies = self.question, sorted(added.by_currency)
        figure = Figure(
            self.name,
            None,
            records=Records(numerator=added.ids.told()),
            accounts=Records(numerator=tuple(added.accounts)),
            definition=self.definition,
            level=question.level,
            on=question.on,
            attribution=question.attribution,
        )
        if not currencies:
            currency = added.currency or question.currency
            value = rounded(added.units, currency) if currency else None
            return attrs.evolve(figure, value=value, reason=None if currency else self.empty)
        parts = [attrs.evolve(self._figure(added.by_currency[one]), part=one) for one in currencies]
        return attrs.evolve(figure, reason=_mixed(currencies), parts=Figures(tuple(parts)))


def _mixed(currencies: list[str]) -> str:
    return f"amounts are in {', '.join(currencies)}: give currency= and exchange="
