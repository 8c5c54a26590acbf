"""What every metric is asked with, and how counted entries become a figure: whole, parts, currencies."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import date
from fractions import Fraction
from itertools import groupby
from typing import Any, Literal, NamedTuple, TypedDict

import attrs

from keyaccount.accounts import NOBODY, Accounts, By, dimension
from keyaccount.calendars import ONE_DAY, Period, is_day
from keyaccount.errors import ValidationError, nearest
from keyaccount.figures import (
    Exchange,
    Excluded,
    Figure,
    Figures,
    Rates,
    Records,
    Value,
    rounded,
    rounded_together,
    shown_in_order,
)
from keyaccount.model.contracts import Contract
from keyaccount.money import CURRENCIES, Money
from keyaccount.succession import AS_SHIPPED, Matching, Standing, standings
from keyaccount.values import FrozenMap

Level = Literal["account", "contract", "parent"]
Attribution = Literal["then", "now"]
LEVELS, ATTRIBUTIONS = ("account", "contract", "parent"), ("then", "now")


class Options(TypedDict, total=False):
    """What every metric takes beside its own arguments.

    `level`: account (as shipped), contract (with its successors) or ultimate parent. `by`: what to split by, see
    `accounts.DIMENSIONS`. `group`: a client group, or `"key accounts"`. `attribution`: manager, group and status as
    they were `"then"`, or `"now"`. `accounts`: what is known of the accounts. `matching`: how successors are inferred.
    `currency` and `exchange`: the currency to count in, and the host's rates. `grouped`: the contracts come account by
    account, so that only one account at a time is held in memory; successors at other accounts are then not seen.
    """

    level: Level
    by: By | None
    group: str | None
    attribution: Attribution
    accounts: Accounts
    matching: Matching
    currency: str | None
    exchange: Exchange | None
    grouped: bool


def checked_word(name: str, given: object, words: Collection[str]) -> None:
    """Refuse an option that is none of its words, with the nearest that is."""
    if not isinstance(given, str) or given not in words:
        reason = f"must be one of {', '.join(words)}{nearest(given, words)}"
        raise ValidationError.of("portfolio", name, given, reason)


def checked_currency(given: object) -> None:
    """Refuse what is no currency to convert to."""
    if not isinstance(given, str) or given not in CURRENCIES:
        raise ValidationError.of("portfolio", "currency", given, "is no ISO 4217 currency")


def checked_count(name: str, given: object, *, low: int = 0) -> None:
    """Refuse an option that is no whole number, or too low."""
    if not isinstance(given, int) or isinstance(given, bool) or given < low:
        raise ValidationError.of("portfolio", name, given, f"must be a whole number, {low} or more")


@attrs.frozen
class Question:
    """A metric's period, day and options, checked.

    The contracts in force on `opening` are the balance at the start of the period, those on `closing` at its end: the
    days before (None where the calendar begins later). `rates` convert amounts.
    """

    period: Period
    on: date
    level: Level = "account"
    by: By | None = attrs.field(default=None, converter=dimension)
    group: str | None = None
    attribution: Attribution = "then"
    accounts: Accounts = NOBODY
    matching: Matching = AS_SHIPPED
    currency: str | None = None
    exchange: Exchange | None = None
    grouped: bool = False
    rates: Rates = attrs.field(init=False)
    opening: date | None = attrs.field(init=False)
    closing: date | None = attrs.field(init=False)

    @rates.default
    def _rates(self) -> Rates:
        return Rates(self.currency, self.exchange)

    @opening.default
    def _opening(self) -> date | None:
        return _day_before(self.period.start)

    @closing.default
    def _closing(self) -> date | None:
        return _day_before(self.period.end)

    def __attrs_post_init__(self) -> None:
        """Refuse what makes no sense; a misspelt word is named with the nearest right one."""
        if not is_day(self.on):
            raise ValidationError.of("portfolio", "on", self.on, "must be a date")
        checked_word("level", self.level, LEVELS)
        checked_word("attribution", self.attribution, ATTRIBUTIONS)
        if self.currency is not None:
            checked_currency(self.currency)
        if self.exchange is not None and self.currency is None:
            raise ValidationError.of("portfolio", "currency", None, "is needed beside exchange")

    @classmethod
    def of(cls, period: Period | tuple[date, date], on: date, options: Mapping[str, Any]) -> Question:
        """Make it from a call's arguments; a misspelt option is a ValidationError."""
        known = Options.__annotations__
        for name in options:
            if name not in known:
                hint = nearest(name, known)
                raise ValidationError.of("portfolio", name, options[name], f"is no option of a metric{hint}")
        return cls(Period.of(period), on, **options)

    @property
    def unfinished(self) -> tuple[str, ...]:
        """What to remark where the period goes on after the day up to which things are known."""
        last = self.closing
        return (f"The period ends on {last}, after {self.on}.",) if last is not None and self.on < last else ()

    def unit(self, account: str) -> str:
        """Return what an account is counted as: itself, or its ultimate parent."""
        return self.accounts.ultimate_parent(account) if self.level == "parent" else account

    def parts(self, account: str, then: date) -> tuple[str, ...]:
        """Return the parts an account belongs to on the metric's day, or now, as asked."""
        if self.by is None:
            return ()
        now = self.attribution == "now"
        return self.accounts.parts(account, self.by, self.on if now else then, now=now)

    def asks_for(self, account: str, then: date) -> bool:
        """Say whether an account is in the group asked for on the metric's day, or now, as asked."""
        if self.group is None:
            return True
        return self.accounts.belongs(account, self.group, self.on if self.attribution == "now" else then)

    def shared(self, accounts: Iterable[str], then: date) -> tuple[str, ...]:
        """Remark which accounts several managers share: the leading one counts."""
        if self.by not in ("manager", "unit"):
            return ()
        day = self.on if self.attribution == "now" else then
        found = sorted({one for one in accounts if self.accounts.is_shared(one, day)})
        return (f"Shared by several managers, counted for the leading one: {', '.join(found)}.",) if found else ()

    def standings(self, contracts: Iterable[Contract], excluded: list[Excluded]) -> Iterator[list[Standing]]:
        """Yield the contracts that count with what followed them: all at once, or account by account.

        Drafts and contracts never in force are added to `excluded`.
        """
        for batch in self._batches(contracts):
            rows, left_out = standings(batch, on=self.on, matching=self.matching)
            excluded.extend(Excluded(id, reason) for id, reason in left_out)
            yield rows

    def _batches(self, contracts: Iterable[Contract]) -> Iterator[Iterable[Contract]]:
        if not self.grouped:
            yield contracts
            return
        seen: set[str] = set()
        for account, batch in groupby(contracts, lambda contract: contract.organisation_id):
            if account in seen:
                raise ValidationError.of("portfolio", "grouped", account, "comes again; sort by organisation_id")
            seen.add(account)
            yield batch


class Entry(NamedTuple):
    """One account, chain or due contract with what it adds to both sides of a fraction.

    Sums in ten-thousandths where they are money of `currency`; `outcome` is empty where nothing is decided by it.
    """

    unit: str
    parts: tuple[str, ...]
    numerator: Fraction | int
    denominator: Fraction | int
    counted: tuple[str, ...]
    out_of: tuple[str, ...]
    currency: str | None = None
    outcome: str = ""
    tacit: int = 0
    inferred: int = 0
    provisional: bool = False


@attrs.frozen
class Ratio:
    """A share of counted entries, and how it is told."""

    name: str
    definition: str
    empty: str
    question: Question
    level: str
    excluded: tuple[Excluded, ...] = ()
    provisional: bool = False
    remarks: tuple[str, ...] = ()

    def figure(self, entries: Iterable[Entry]) -> Figure:
        """Return the figure of all entries, with its parts where a split was asked for."""
        rows = list(entries)
        whole = self._figure(rows)
        if self.question.by is None:
            return whole
        overlap = ("The parts overlap: an account may be in several groups.",) if self.question.by == "group" else ()
        parts = self._parts(rows, whole)
        return attrs.evolve(whole, parts=parts, remarks=(*whole.remarks, *overlap))

    def _parts(self, rows: list[Entry], whole: Figure) -> Figures:
        by_part: defaultdict[str, list[Entry]] = defaultdict(list)
        for row in rows:
            for part in row.parts:
                by_part[part].append(row)
        names = shown_in_order(by_part)
        found = [attrs.evolve(self._figure(by_part[name]), part=name, excluded=(), remarks=()) for name in names]
        if self.question.by == "group" or not isinstance(whole.denominator, Money):
            return Figures(tuple(found))
        return Figures(tuple(_adding_up(found, [by_part[name] for name in names], whole)))

    def _figure(self, rows: list[Entry]) -> Figure:
        currencies = sorted({row.currency for row in rows if row.currency is not None})
        if len(currencies) > 1:
            return self._by_currency(rows, currencies)
        top = sum(row.numerator for row in rows)
        bottom = sum(row.denominator for row in rows)
        figure = self._empty(rows)
        value = Fraction(top) / bottom if bottom else None
        one, other = (rounded(side, currencies[0]) if currencies else side for side in (top, bottom))
        return attrs.evolve(
            figure, value=value, numerator=one, denominator=other, reason=None if bottom else self.empty
        )

    def _by_currency(self, rows: list[Entry], currencies: list[str]) -> Figure:
        """Return one figure for each currency: there is no whole without the host's rates."""
        parts = [
            attrs.evolve(self._figure([row for row in rows if row.currency == one]), part=one, excluded=(), remarks=())
            for one in currencies
        ]
        return attrs.evolve(self._empty(rows), reason=_mixed(currencies), parts=Figures(tuple(parts)))

    def _empty(self, rows: list[Entry]) -> Figure:
        question = self.question
        units = Records(
            tuple(dict.fromkeys(row.unit for row in rows if row.numerator)),
            tuple(dict.fromkeys(row.unit for row in rows)),
        )
        return Figure(
            self.name,
            None,
            records=Records(
                tuple(id for row in rows for id in row.counted), tuple(id for row in rows for id in row.out_of)
            ),
            accounts=units if self.level != "contract" else Records(),
            excluded=self.excluded,
            provisional=self.provisional or any(row.provisional for row in rows),
            definition=self.definition,
            period=question.period,
            level=self.level,
            on=question.on,
            attribution=question.attribution,
            beside=_beside(rows),
            remarks=self.remarks,
        )


def _beside(rows: list[Entry]) -> FrozenMap[str, Value]:
    """Count what was decided, where something was: renewed, lost and pending are all that was due."""
    outcomes = Counter(row.outcome for row in rows)
    if not outcomes or "" in outcomes:
        return FrozenMap()
    decided = [row for row in rows if row.outcome != "pending"]
    bottom = sum(row.denominator for row in decided)
    same = len({row.currency for row in decided}) == 1
    rate = Fraction(sum(row.numerator for row in decided)) / bottom if bottom and same else None
    return FrozenMap(
        {
            **{name: outcomes[name] for name in ("renewed", "lost", "pending")},
            "tacit": sum(row.tacit for row in rows),
            "inferred": sum(row.inferred for row in rows),
            "decided": rate,
        }
    )


def _adding_up(parts: list[Figure], rows: list[list[Entry]], whole: Figure) -> Iterator[Figure]:
    """Round both sides of the parts so that they add up to the whole's."""
    top, bottom = whole.numerator, whole.denominator
    assert isinstance(top, Money)  # noqa: S101 - the caller asked
    assert isinstance(bottom, Money)  # noqa: S101
    tops = rounded_together([sum(row.numerator for row in some) for some in rows], top)
    bottoms = rounded_together([sum(row.denominator for row in some) for some in rows], bottom)
    for part, one, other in zip(parts, tops, bottoms, strict=True):
        yield attrs.evolve(part, numerator=one, denominator=other)


class Amount(NamedTuple):
    """What one contract adds to a sum, in ten-thousandths of a currency."""

    account: str
    parts: tuple[str, ...]
    units: Fraction | int
    contract_id: str
    currency: str


@attrs.frozen
class Sum:
    """A sum of money, and how it is told."""

    name: str
    definition: str
    empty: str
    question: Question
    excluded: tuple[Excluded, ...] = ()
    remarks: tuple[str, ...] = ()

    def figure(self, amounts: Iterable[Amount]) -> Figure:
        """Return the figure of all amounts, with its parts where a split was asked for."""
        rows = list(amounts)
        whole = self._figure(rows)
        by = self.question.by
        if by is None:
            return whole
        by_part: defaultdict[str, list[Amount]] = defaultdict(list)
        for row in rows:
            for part in row.parts:
                by_part[part].append(row)
        names = shown_in_order(by_part)
        parts = [attrs.evolve(self._figure(by_part[name]), part=name, excluded=(), remarks=()) for name in names]
        if by == "group":
            overlap = "The parts overlap: an account may be in several groups."
            return attrs.evolve(whole, parts=Figures(tuple(parts)), remarks=(*whole.remarks, overlap))
        if isinstance(whole.value, Money):
            exact = [sum(row.units for row in by_part[name]) for name in names]
            together = rounded_together(exact, whole.value)
            parts = [attrs.evolve(part, value=value) for part, value in zip(parts, together, strict=True)]
        return attrs.evolve(whole, parts=Figures(tuple(parts)))

    def _figure(self, rows: list[Amount]) -> Figure:
        question, currencies = self.question, sorted({row.currency for row in rows})
        currencies = currencies or ([question.currency] if question.currency else [])
        figure = Figure(
            self.name,
            None,
            records=Records(numerator=tuple(row.contract_id for row in rows)),
            accounts=Records(numerator=tuple(dict.fromkeys(row.account for row in rows))),
            excluded=self.excluded,
            definition=self.definition,
            level=question.level,
            on=question.on,
            attribution=question.attribution,
            remarks=self.remarks,
        )
        if not currencies:
            return attrs.evolve(figure, reason=self.empty)
        if len(currencies) == 1:
            return attrs.evolve(figure, value=rounded(sum(row.units for row in rows), currencies[0]))
        parts = [
            attrs.evolve(self._figure([row for row in rows if row.currency == one]), part=one, excluded=(), remarks=())
            for one in currencies
        ]
        return attrs.evolve(figure, reason=_mixed(currencies), parts=Figures(tuple(parts)))


def _mixed(currencies: list[str]) -> str:
    return f"amounts are in {', '.join(currencies)}: give currency= and exchange="


def _day_before(day: date) -> date | None:
    return day - ONE_DAY if day > date.min else None
