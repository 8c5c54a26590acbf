"""What a data steward should look at: numbers nobody can dial, accounts nobody looks after, records that may be one.

Everything is computed over what the desk may read. Records are read by pages and forgotten; what stays are short keys.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, NamedTuple, TypeVar, cast

import attrs

from keyaccount import phones
from keyaccount.calendars import ONE_DAY
from keyaccount.model.commerce import Invoice
from keyaccount.model.contacts import Contact, Position
from keyaccount.model.entity import Entity
from keyaccount.model.organisations import Organisation
from keyaccount.model.organogram import User
from keyaccount.model.rights import KEY_ACCOUNT_MANAGER, Assignment, Substitution
from keyaccount.queries import at_least, is_none, place
from keyaccount.results import Result, Rows
from keyaccount.rosters import is_customer
from keyaccount.spans import in_force
from keyaccount.values import fold
from keyaccount.view import View

E = TypeVar("E", bound=Entity)

PAGE = 25_000
SOON_DAYS = 60
SORTS = (
    "phone not readable",
    "contact without position",
    "account without manager",
    "private account at risk",
    "invoice without due day",
    "duplicate",
)


@attrs.frozen(repr=False)
class Flaw(Result):
    """Something in the data that somebody should look at.

    `sort` is one of `SORTS`. `ids` are the records, all of one `kind`; of a "duplicate" they are those that may be one.
    """

    sort: str
    kind: str
    ids: tuple[str, ...]
    why: tuple[str, ...]


@attrs.frozen(repr=False)
class DataQuality(Rows[Flaw]):
    """What a look at the data found, by sort, kind and ids; empty where all is well."""

    on: date
    rows: tuple[Flaw, ...]

    @property
    def duplicates(self) -> tuple[Flaw, ...]:
        """The records that may be one: to be looked at, and merged with `desk.merging.merge`."""
        return tuple(row for row in self.rows if row.sort == "duplicate")


def data_quality(view: View, region: str | None, on: date) -> DataQuality:
    """Look at everything the view shows; `region` is where national phone numbers without a country are read."""
    accounts: dict[str, Account] = {}
    flaws: list[Flaw] = []
    flaws += _organisations(streamed(view, Organisation), region, accounts)
    held: dict[str, tuple[str, ...]] = {}
    flaws += _positions(streamed(view, Position), region, accounts, held)
    flaws += _contacts(streamed(view, Contact), region, held)
    flaws += _looked_after(view, accounts, on)
    late = streamed(view, Invoice, kind="invoice", due_on=is_none)
    flaws += (Flaw("invoice without due day", "Invoice", (row.id,), ("it is never overdue",)) for row in late)
    order = {sort: number for number, sort in enumerate(SORTS)}
    return DataQuality(on, tuple(sorted(flaws, key=lambda flaw: (order[flaw.sort], flaw.kind, flaw.ids, flaw.why))))


def streamed(view: View, cls: type[E], **given: Any) -> Iterator[E]:
    """Yield the records that meet some conditions, by id, read by pages."""
    query = view.query(cls, limit=PAGE, **given)
    while True:
        rows = cast("list[E]", view.gather(query)[0])
        yield from rows
        if len(rows) < PAGE:
            return
        query = attrs.evolve(query, after=place(query, rows[-1]))


# ---- records ---------------------------------------------------------------------------------------------


class Account(NamedTuple):
    """What is remembered of an organisation."""

    parent_id: str | None
    private: bool
    country: str | None
    customer: bool


def _organisations(rows: Iterable[Organisation], region: str | None, accounts: dict[str, Account]) -> Iterator[Flaw]:
    """Yield unreadable numbers and duplicates among organisations; remember the accounts."""
    alike = Alike("Organisation")
    for row in rows:
        accounts[row.id] = Account(row.parent_id, row.private, row.country, is_customer(row))
        regions = (row.country or region,)
        yield from _unreadable(row, row.phones, regions)
        alike.note(row.id, row.name, row.emails, tax_id=row.tax_id)
        alike.note_phones(row.id, row.phones, regions)
    yield from alike.flaws()


def _positions(
    rows: Iterable[Position], region: str | None, accounts: Mapping[str, Account], held: dict[str, tuple[str, ...]]
) -> Iterator[Flaw]:
    """Yield unreadable numbers of positions; remember in which countries each contact works."""
    for row in rows:
        account = accounts.get(row.organisation_id)
        country = account.country if account is not None else None
        known = held.setdefault(row.contact_id, ())
        if row.employed and country is not None and country not in known:
            held[row.contact_id] = (*known, country)
        yield from _unreadable(row, row.phones, (country or region,))


def _contacts(rows: Iterable[Contact], region: str | None, held: Mapping[str, tuple[str, ...]]) -> Iterator[Flaw]:
    """Yield contacts without a position, unreadable private numbers, and duplicates among contacts."""
    alike = Alike("Contact")
    for row in rows:
        if row.id not in held:
            yield Flaw("contact without position", "Contact", (row.id,), ("is at no organisation",))
        regions = (row.country,) if row.country else tuple(dict.fromkeys((*held.get(row.id, ()), region)))
        yield from _unreadable(row, row.phones, regions)
        alike.note(row.id, row.name, row.emails)
        alike.note_phones(row.id, row.phones, regions)
    yield from alike.flaws()


def _unreadable(row: Entity, numbers: Iterable[str], regions: Sequence[str | None]) -> Iterator[Flaw]:
    wrong = tuple(number for number in numbers if not any(phones.readable(number, region) for region in regions))
    if wrong:
        yield Flaw("phone not readable", type(row).__name__, (row.key,), wrong)


class Alike:
    """Keys of the records of a kind, to find those that share one."""

    def __init__(self, kind: str) -> None:
        """Start with none."""
        self._kind = kind
        self._known: dict[tuple[str, str], list[str]] = {}
        self._numbers: dict[str, list[tuple[str, str, tuple[str | None, ...]]]] = {}

    def note(self, id: str, name: str, emails: Iterable[str], *, tax_id: str | None = None) -> None:
        """Take a record's name, e-mail addresses and tax id."""
        self._take("same name", " ".join(fold(name).split()), id)
        for email in emails:
            self._take("same e-mail address", fold(email), id)
        if tax_id and (letters := "".join(filter(str.isalnum, fold(tax_id)))):
            self._take("same tax id", letters, id)

    def note_phones(self, id: str, numbers: Iterable[str], regions: tuple[str | None, ...]) -> None:
        """Take a record's numbers under their look-up keys: they are read only where another record shares one."""
        for number in numbers:
            for key in phones.keys(number):
                self._numbers.setdefault(key, []).append((id, number, regions))

    def flaws(self) -> Iterator[Flaw]:
        """Yield the groups of records that share something, each with all that its records share."""
        for told in self._numbers.values():
            if len(told) > 1:
                for id, number, regions in told:
                    self._take("same phone number", _canonical(number, regions), id)
        shared: defaultdict[tuple[str, ...], set[str]] = defaultdict(set)
        for (why, _), ids in self._known.items():
            if len(ids) > 1 and len(group := tuple(sorted(set(ids)))) > 1:
                shared[group].add(why)
        for group, reasons in shared.items():
            yield Flaw("duplicate", self._kind, group, tuple(sorted(reasons)))

    def _take(self, why: str, key: str, id: str) -> None:
        ids = self._known.setdefault((why, key), [])
        if id not in ids[-1:]:
            ids.append(id)


def _canonical(number: str, regions: Iterable[str | None]) -> str:
    """Return a number in its international form, else its digits."""
    forms = (phones.international(number, region) for region in regions)
    return next(filter(None, forms), None) or "".join(filter(str.isdecimal, number))


# ---- who looks after them --------------------------------------------------------------------------------


class Term(NamedTuple):
    """How long somebody looks after an account."""

    user_id: str
    first: date
    last: date
    covers: bool


def _looked_after(view: View, accounts: Mapping[str, Account], on: date) -> Iterator[Flaw]:
    """Yield customers and private accounts without a key account manager, and private ones about to lose theirs."""
    active = {user.id for user in streamed(view, User, active=True)}
    absent: set[str] = set()
    if not view.work.policy.deputies_see_private:
        absent = {row.user_id for row in streamed(view, Substitution) if in_force(row, on)}
    terms: defaultdict[str, list[Term]] = defaultdict(list)
    for row in streamed(view, Assignment, role=KEY_ACCOUNT_MANAGER, valid_until=at_least(on)):
        if row.organisation_id is not None and row.user_id in active:
            last = row.valid_until or date.max
            terms[row.organisation_id].append(
                Term(row.user_id, row.valid_from or date.min, last, row.covers_subsidiaries)
            )
    covered: dict[str, bool] = {}
    for id, account in accounts.items():
        own = [term for term in terms.get(id, ()) if term.first <= on]
        if not own and (account.private or (account.customer and not _is_covered(id, accounts, terms, on, covered))):
            yield Flaw("account without manager", "Organisation", (id,), ("no key account manager is in force",))
        elif account.private and (why := _risk(terms[id], absent, on)):
            yield Flaw("private account at risk", "Organisation", (id,), (why,))


def _is_covered(
    id: str,
    accounts: Mapping[str, Account],
    terms: Mapping[str, Sequence[Term]],
    on: date,
    known: dict[str, bool],
) -> bool:
    """Say whether a readable ancestor has a manager who covers subsidiaries; what was walked is remembered."""
    path: list[str] = []
    at: str | None = id
    found = False
    while at is not None and at in accounts:
        if at in known:
            found = known[at] or _covers(terms.get(at, ()), on)
            break
        known[at] = False  # a mark, so that damaged data with a cycle ends the walk
        path.append(at)
        at = accounts[at].parent_id
    for one in reversed(path):
        known[one] = found
        found = found or _covers(terms.get(one, ()), on)
    return known.get(id, False)


def _covers(terms: Iterable[Term], on: date) -> bool:
    return any(term.covers and term.first <= on for term in terms)


def _risk(terms: Iterable[Term], absent: Iterable[str], on: date) -> str | None:
    """Say why a private account would soon be seen by nobody, or None.

    It is safe while managers who are here follow each other without a gap beyond the 60 days that are looked at.
    """
    away, soon = set(absent), on + min(timedelta(SOON_DAYS), date.max - on)
    rows = sorted(terms, key=lambda term: (term.first, term.last))
    here = [term for term in rows if term.user_id not in away]
    if not any(term.first <= on for term in here):
        return "its key account manager is absent"
    last = _unbroken(here, on)
    if last > soon or last == date.max:
        return None
    return (
        f"its last key account manager's assignment ends on {last}"
        if last == _unbroken(rows, on)
        else (f"its only key account manager who is not absent is assigned until {last}")
    )


def _unbroken(terms: Iterable[Term], on: date) -> date:
    """Return the last day up to which terms (by their start) follow each other without a gap."""
    last = on - ONE_DAY
    for term in terms:
        if last < date.max and term.first <= last + ONE_DAY:
            last = max(last, term.last)
    return last
