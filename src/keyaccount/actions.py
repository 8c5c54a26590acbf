"""What to do about an account: a ranked list, each step with its evidence.

What ends by itself comes first (contracts), then what we owe (promises), what we are owed, what we are losing, what
nobody kept up to date, and last whom nobody talked to. Within a sort the most pressing comes first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from fractions import Fraction
from typing import TYPE_CHECKING

import attrs

from keyaccount.money import Money
from keyaccount.results import Result

if TYPE_CHECKING:
    from keyaccount.expiring import DueContract
    from keyaccount.health_rows import HealthRow

QUIET_DAYS = 90
ALERTED = 20
"""Orders that fall by more than so many percent are an alert."""
WORTH_RENEWING_DAYS = 365
KINDS = ("expired contract", "renewal", "promise", "payment", "decline", "opportunity", "contact")
_SETTLED = frozenset({"signed", "lost", "superseded", "archived"})
_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)


@attrs.frozen(repr=False)
class ToDo(Result):
    """One thing to do: its sort, in words, and the ids of the records that say so."""

    kind: str
    text: str
    evidence: tuple[str, ...] = ()


def to_do(row: HealthRow, *, numbers: Mapping[str, str], previous: date, quiet_days: int) -> tuple[ToDo, ...]:
    """Return what to do about an account, ranked.

    `numbers` are what contracts are called, by id; `previous` is the first day of the month orders fell against;
    `quiet_days` after the last contact somebody should get in touch.
    """
    return tuple(_all(row, numbers, previous, quiet_days))


def _all(row: HealthRow, numbers: Mapping[str, str], previous: date, quiet_days: int) -> Iterator[ToDo]:
    for gone in (one for one in row.expired if one.days <= WORTH_RENEWING_DAYS):  # after a year it is history
        name = numbers.get(gone.contract_id, gone.contract_id)
        said = f"renew {name}: it ended {_days(gone.days)} ago, and nothing follows"
        yield ToDo("expired contract", said, (gone.contract_id,))
    for due in row.due:
        if due.done not in _SETTLED:
            yield ToDo("renewal", _renewal(due, numbers.get(due.contract_id, due.contract_id)), (due.contract_id,))
    for promise in row.promises:
        what = f": {promise.subject}" if promise.subject else ""
        said = f"keep the promise of {promise.due_on}, {_days(promise.days)} late{what}"
        yield ToDo("promise", said, (promise.activity_id,))
    if row.overdue:
        yield ToDo("payment", _payment(row.overdue, row.oldest_overdue, all_disputed=row.all_disputed), row.overdue_ids)
    if row.alert and row.decline is not None:
        season = "; the season's, as last year" if row.seasonal else ""
        said = f"schedule a call: orders {fallen(row.decline)} against {_MONTHS[previous.month - 1]}{season}"
        yield ToDo("decline", said, (row.organisation_id,))
    for deal in row.to_update:
        since = "without an expected day" if deal.days is None else f"expected {_days(deal.days)} ago"
        yield ToDo("opportunity", f"update {deal.title or deal.opportunity_id}: {since}", (deal.opportunity_id,))
    if "contact" in row.signals:
        yield from _contact(row, quiet_days)


def _renewal(due: DueContract, name: str) -> str:
    if due.terminated:
        return f"talk about {name}: notice was given, it ends in {_days(due.days_left)}"
    done = "no action" if due.done in {None, "alerted"} else due.done  # raising it is no action of anybody's
    if due.auto_renews and due.deadline is not None:
        return f"decide on {name}: it renews itself, {_days(due.days_left)} left, {done}"
    begun = "start" if done == "no action" else "go on with the"
    return f"{begun} renewal of {name}: {_days(due.days_left)} left, {done}"


def _payment(amounts: Sequence[Money], oldest: int, *, all_disputed: bool) -> str:
    what = "settle the dispute" if all_disputed else "ask for payment"
    return f"{what}: {sums(amounts)} overdue, the oldest for {_days(oldest)}"


def _contact(row: HealthRow, quiet_days: int) -> Iterator[ToDo]:
    if row.last_contact is None:
        yield ToDo("contact", "get in touch: nobody ever talked to them", (row.organisation_id,))
    elif row.last_contact.days > quiet_days:
        said = f"get in touch: last contact {_days(row.last_contact.days)} ago"
        yield ToDo("contact", said, (row.last_contact.activity_id,))


def counted(count: int, what: str) -> str:
    """Write so many of something.

    >>> counted(1, "day"), counted(0, "account")
    ('1 day', '0 accounts')
    """
    return f"{count} {what}{'' if count == 1 else 's'}"


def _days(count: int) -> str:
    return counted(count, "day")


def percent(share: Fraction) -> str:
    """Write a change as whole percent with its sign.

    >>> percent(Fraction(-34, 100)), percent(Fraction(1, 8))
    ('-34 %', '+12 %')
    """
    return f"{round(share * 100):+d} %"


def fallen(decline: Fraction) -> str:
    """Write a decline above the limit so that it never reads as the limit itself: in tenths where whole percent do.

    >>> fallen(Fraction(34, 100)), fallen(Fraction(203, 1000)), fallen(Fraction(20001, 100_000))
    ('-34 %', '-20.3 %', '-20.1 %')
    """
    if round(decline * 100) > ALERTED:
        return percent(-decline)
    tenths = max(round(decline * 1000), ALERTED * 10 + 1)
    return f"-{tenths // 10}.{tenths % 10} %"


def sums(amounts: Iterable[Money]) -> str:
    """Write amounts in several currencies; "nothing" where there is none.

    >>> sums([Money("1234.5", "EUR"), Money(2, "USD")])
    '1,234.50 EUR and 2.00 USD'
    """
    return " and ".join(grouped(amount) for amount in amounts) or "nothing"


def grouped(amount: Money) -> str:
    """Write an amount with its thousands apart."""
    number, currency = str(amount).split(" ")
    whole, point, places = number.partition(".")
    return f"{int(whole):,}{point}{places} {currency}" if whole not in ("-0", "0") else str(amount)
