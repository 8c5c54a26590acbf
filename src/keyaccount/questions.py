"""What every metric is asked with, and how counted entries become a figure: whole, parts, currencies."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import date
from itertools import groupby
from typing import Any, Literal, TypedDict

import attrs

from keyaccount.accounts import NOBODY, Accounts, By, dimension
from keyaccount.calendars import ONE_DAY, Period, is_day
from keyaccount.errors import ValidationError, nearest
from keyaccount.evidence import Excluded, Gathered
from keyaccount.figures import Exchange, Rates
from keyaccount.model.contracts import Contract
from keyaccount.money import CURRENCIES
from keyaccount.succession import AS_SHIPPED, Matching, Standing, standings

Level = Literal["account", "contract", "parent"]
Attribution = Literal["then", "now"]
_OF_MANAGERS = ("manager", "unit")
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

    def is_shared(self, account: str, then: date) -> bool:
        """Say whether several managers share an account on the metric's day, or now, where the split asks for one."""
        day = self.on if self.attribution == "now" else then
        return self.by in _OF_MANAGERS and self.accounts.is_shared(account, day)

    def shared(self, accounts: Iterable[str], then: date) -> tuple[str, ...]:
        """Remark which accounts several managers share."""
        if self.by not in _OF_MANAGERS:
            return ()
        return of_several(account for account in accounts if self.is_shared(account, then))

    def standings(self, contracts: Iterable[Contract], excluded: Gathered[Excluded]) -> Iterator[list[Standing]]:
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


def of_several(accounts: Iterable[str]) -> tuple[str, ...]:
    """Remark which accounts several managers share: the leading one counts."""
    found = sorted(set(accounts))
    return (f"Shared by several managers, counted for the leading one: {', '.join(found)}.",) if found else ()


def _day_before(day: date) -> date | None:
    return day - ONE_DAY if day > date.min else None
