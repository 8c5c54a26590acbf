"""What was billed, ordered, said and promised, as one desk may read it: sums and few rows, never all documents."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time
from typing import Any, Protocol, TypeAlias, TypeVar

import attrs

from keyaccount.accounts import Accounts
from keyaccount.attention import Met, day_of
from keyaccount.billing import Bill
from keyaccount.calendars import ONE_DAY, Period
from keyaccount.catalogue import kind_of
from keyaccount.evidence import EAGER
from keyaccount.figures import Rates
from keyaccount.model.activities import Activity
from keyaccount.model.commerce import COUNTED, Invoice, Order
from keyaccount.model.contacts import Position
from keyaccount.model.organisations import Organisation
from keyaccount.model.renewals import Renewal
from keyaccount.model.sales import Opportunity
from keyaccount.queries import Query, Window, above, at_least, at_most, between, is_none, one_of
from keyaccount.renewals import state_on
from keyaccount.responsible import Known
from keyaccount.rosters import is_customer, known_accounts, known_of
from keyaccount.spans import in_force
from keyaccount.turnover import Basis, Find, Flow, Turnover, checked_basis
from keyaccount.values import FrozenMap
from keyaccount.view import View

Document: TypeAlias = type[Invoice] | type[Order]
A = TypeVar("A", Activity, Met, Opportunity, Position)


class Again(Protocol):
    """Opens a view of the same desk again, when somebody asks for the records behind a sum."""

    def __call__(self) -> Any:
        """Return the context that gives the view."""


@attrs.frozen
class Customers:
    """The accounts that metrics are about, and what is known of them."""

    organisations: Mapping[str, Known]
    accounts: Accounts

    def has(self, account: str | None) -> bool:
        """Say whether an account counts: it can be read, and is a customer as far as it says."""
        return is_customer(self.organisations.get(account or ""))


def customers(view: View, also: Iterable[str] = (), asked: Mapping[str, Any] = FrozenMap()) -> Customers:
    """Read every customer, further accounts by id, and those above them, with what is known of them.

    `asked` are the options of the call. Who manages an account, and in which groups it is, is read where they need it.
    """
    by, per = asked.get("by"), asked.get("per")
    found = known_accounts(view, by, relationships="customer")
    further = {*also, *(row.parent_id for row in found.values() if row.parent_id)} - found.keys()
    if further:
        found |= known_accounts(view, by, id=above(sorted(further)))
    own = by is None or (isinstance(by, str) and by in _OWN_DIMENSIONS)
    alone = own and asked.get("group") is None and not (isinstance(per, str) and per == "group")
    return Customers(found, Accounts.of(found.values()) if alone else known_of(view, found)[0])


_OWN_DIMENSIONS = ("sector", "country", "account")
"""What an organisation itself says."""


# ---- sums ------------------------------------------------------------------------------------------------------------


def turnover(view: View, windows: Mapping[str, Period], basis: Basis, rates: Rates, again: Again) -> Turnover:
    """Add up documents by account and currency in the storage: one statement, each window a column.

    Amounts that are to be converted are added up by day. The documents behind a sum are looked up when asked for. Where
    a lake holds the documents, it adds up those of the readable accounts, whose ids travel there.
    """
    lake = view.work.lake
    if lake is not None and lake.holds(checked_basis(basis)):
        readable = [total.key[0] for total in view.totals(view.query(Organisation), by=("id",))]
        found = lake.turnover(readable, windows, basis, rates)
        return attrs.evolve(found, find=_finder_in_lake(again, found.find))
    flows = list(_flows(view, windows, checked_basis(basis), rates))
    return Turnover(windows, flows, _finder(again, basis), basis)


def of_customers(found: Turnover, known: Customers) -> Turnover:
    """Leave out the flows of accounts that are no customers."""
    return attrs.evolve(found, flows=[flow for flow in found.flows if known.has(flow.account)])


def with_customers(rows: Iterable[A], known: Customers) -> list[A]:
    """Leave out what happened with accounts that are no customers; what names no account stays."""
    return [row for row in rows if row.organisation_id is None or known.has(row.organisation_id)]


def accounts_in(*found: Turnover) -> set[str]:
    """Return the accounts that turned anything over."""
    return {flow.account for one in found for flow in one.flows}


def _flows(view: View, windows: Mapping[str, Period], basis: str, rates: Rates) -> Iterator[Flow]:
    cls, day = _document(basis)
    if rates.exchange is None:
        yield from _totalled(view, cls, day, windows)
        return
    currencies = [total.key[0] for total in view.totals(_counted(view, cls), by=("currency",))]
    foreign = [currency for currency in currencies if currency not in (None, rates.currency)]
    yield from _totalled(view, cls, day, windows, currency=rates.currency)
    if foreign:
        yield from _totalled(view, cls, day, windows, daily=True, currency=one_of(foreign))


def _totalled(
    view: View, cls: Document, day: str, windows: Mapping[str, Period], *, daily: bool = False, **where: Any
) -> Iterator[Flow]:
    by = ("organisation_id", "currency", day) if daily else ("organisation_id", "currency")
    spans = [Window(day, window.start, window.end) for window in windows.values()]
    query = _counted(view, cls, **where)
    for total in view.totals(query, by, spans, sums=("net_units",), lows=(day,), counted=False):
        account, currency, *on = total.key
        if account is not None and currency is not None:
            units = [units for (units,) in total.sums]
            yield Flow(account, currency, units, total.lows[0], on[0] if on else None)


def _document(basis: str) -> tuple[Document, str]:
    return (Invoice, "issued_on") if basis == "invoices" else (Order, "ordered_on")


def _counted(view: View, cls: Document, **where: Any) -> Any:
    if cls is Order:
        where["state"] = one_of(sorted(COUNTED))
    return view.query(cls, **where)


def _finder(again: Again, basis: str) -> Find:
    cls, day = _document(basis)

    def find(accounts: Collection[str], window: Period, currency: str | None) -> Iterable[str]:
        if not window.days or not accounts:
            return ()
        where: dict[str, Any] = {day: between(window.start, window.end - ONE_DAY)}
        where |= {"currency": currency} if currency is not None else {}
        with again() as view:
            query = _counted(view, cls, organisation_id=one_of(sorted(accounts)), **where)
            rows = view.work.unit.columns(attrs.evolve(query, order=((day, False),)), ("id", "currency"))
            return tuple(id for id, of in rows if of is not None)  # without one it is in no sum

    return find


def with_records(view: View, found: Turnover, basis: Basis) -> Turnover:
    """Read the ids behind the sums at once where they are few: they are then those of the same state, for good."""
    cls, day = _document(basis)
    spans = [window for window in found.windows.values() if window.days]
    lake = view.work.lake
    if not spans or (lake is not None and lake.holds(basis)):
        return found
    first, last = min(window.start for window in spans), max(window.end for window in spans) - ONE_DAY
    query = _counted(view, cls, **{day: between(first, last)})
    known = sum(1 for flow in found.flows for units in flow.units if units)  # each of them has a document at least
    if known > EAGER or view.count(query) > EAGER:
        return found
    by_account: defaultdict[str, list[tuple[date, str, str]]] = defaultdict(list)
    for account, on, id, currency in view.work.unit.columns(query, ("organisation_id", day, "id", "currency")):
        by_account[account].append((on, id, currency))

    def find(accounts: Collection[str], window: Period, currency: str | None) -> Iterable[str]:
        rows = sorted(row for account in accounts for row in by_account.get(account, ()))
        return tuple(id for on, id, one in rows if on in window and one is not None and currency in (None, one))

    return attrs.evolve(found, find=find)


def _finder_in_lake(again: Again, look_up: Find) -> Find:
    """Ask the store again which accounts can be read, before their documents are looked up elsewhere."""

    def find(accounts: Collection[str], window: Period, currency: str | None) -> Iterable[str]:
        with again() as view:
            readable = view.readable(Organisation, accounts)
        return look_up(readable, window, currency)

    return find


def remarks_on_rows(view: View, basis: str) -> tuple[str, ...]:
    """Remark on an answer from single documents where a lake holds such documents: it gives sums, and no rows."""
    lake = view.work.lake
    if lake is None or not lake.holds(basis):
        return ()
    return (f"Single {basis} are read from the store: those kept outside it give sums alone, and are not among them.",)


# ---- rows ------------------------------------------------------------------------------------------------------------


def documents(view: View, basis: Basis, window: Period) -> Iterator[Any]:
    """Yield the documents of a window, page by page: for what needs their lines."""
    cls, day = _document(checked_basis(basis))
    where: dict[str, Any] = {day: between(window.start, window.end - ONE_DAY)} if window.days else {"id": one_of(())}
    return view.stream(kind_of(cls), **where)


def accounts_of(view: View, basis: Basis, window: Period) -> set[str]:
    """Return the accounts that have a document in a window."""
    cls, day = _document(checked_basis(basis))
    if not window.days:
        return set()
    query = _counted(view, cls, **{day: between(window.start, window.end - ONE_DAY)})
    return {total.key[0] for total in view.totals(query, ("organisation_id",), counted=False)} - {None}


def unsettled(view: View, on: date) -> list[Bill]:
    """Read the invoices and credit notes that were not settled at the end of a day, also those issued since.

    Nearly all were issued by a day one asks about: looked for by that, an index finds everything there is.
    """
    return _bills(view, on)


def overdue(view: View, on: date) -> list[Bill]:
    """Read what was overdue at the end of a day, also what was issued since, but due before."""
    return _bills(view, on, kind="invoice", due_on=at_most(on - ONE_DAY))


def undated(view: View, on: date) -> list[Bill]:
    """Read the open invoices that nobody gave a due day."""
    return _bills(view, on, kind="invoice", due_on=is_none)


def _bills(view: View, on: date, **which: Any) -> list[Bill]:
    rows = view.columns(Invoice, *Bill._fields, settled_on=at_least(on + ONE_DAY), **which)
    return [Bill(*row) for row in rows]


def deals(view: View, on: date) -> tuple[Query, Query]:
    """Return the queries of opportunities that were to be decided at the end of a day: still open, or closed since."""
    since = view.query(Opportunity, closed_on=at_least(on + ONE_DAY), order="id")
    return view.query(Opportunity, open=True, order="id"), since


def promised(view: View, on: date) -> tuple[Query, Query]:
    """Return the queries of follow-ups due before a day and not done by its end: still open, or done since."""
    before: dict[str, Any] = {"follow_up_on": at_most(on - ONE_DAY), "order": "follow_up_on"}
    next_day = datetime.combine(on + ONE_DAY, time(), view.now.tzinfo)
    return view.query(Activity, open=True, **before), view.query(Activity, done_at=at_least(next_day), **before)


def renewals(view: View, on: date) -> Query:
    """Return the query of the renewals of what is due from a day on."""
    return view.query(Renewal, due_on=at_least(on), order=("-due_on", "id"))


def progress(rows: Iterable[Any], on: date, view: View) -> dict[str, str]:
    """Say of contracts how far their renewals were on a day."""
    told = {row.contract_id: state_on(row, on, view.now.tzinfo) for row in rows}
    return {id: state for id, state in told.items() if state is not None and state != "superseded"}


def met_at(met: Iterable[Met], held: Iterable[Position]) -> set[str]:
    """Return the accounts that activities may count for: those they name, and where their contacts were employed."""
    named = {row.organisation_id for row in met if row.organisation_id is not None}
    return named | {row.organisation_id for row in held}


def contacts(view: View, on: date, per: str = "account", group: object = None) -> tuple[list[Met], list[Position]]:
    """Read the latest two-way activities up to a day's end, or now, by account, or by contact and account.

    With the positions of the contacts of those that name no account: such an activity counts where they were employed.
    By contact of a group all are read: one may count for a contact by where somebody else was employed who took part.
    """
    met: dict[str, Any] = {"two_way": True, "at": at_most(view.until(on))}
    if isinstance(per, str) and per == "contact":
        if group is not None:
            every = _met(view, **met)
            people = {id for row in every if row.organisation_id is None for id in row.contact_ids}
            return every, view.find(Position, contact_id=one_of(sorted(people))) if people else []
        return _latest_by_contact(view, ("contact_ids", "organisation_id"), met)
    named = _met(view, latest=("organisation_id", "at"), **met)
    alone, held = _latest_by_contact(view, ("contact_ids",), {**met, "organisation_id": is_none})
    return [*named, *alone], held


def _latest_by_contact(view: View, by: tuple[str, ...], met: Mapping[str, Any]) -> tuple[list[Met], list[Position]]:
    """Read the latest activities of each contact, and for whoever changed the employer all that name no account."""
    found = view.totals(view.query(Activity, **met), by=by, highs=("at",), counted=False)
    latest = {total.key: total.highs[0] for total in found if total.key[0] is not None}
    if not latest:
        return [], []
    rows = _met(view, **{**met, "at": one_of(sorted(set(latest.values())))})
    people = {key[0]: at for key, at in latest.items() if key[-1] is None or len(key) == 1}
    if not people:
        return rows, []
    held = view.find(Position, contact_id=one_of(sorted(people)))
    on = {id: day_of(at, view.now.tzinfo or UTC) for id, at in people.items()}
    moved = {row.contact_id for row in held if not in_force(row, on[row.contact_id])}
    before = {"contact_ids": one_of(sorted(moved)), "organisation_id": is_none}
    return list(dict.fromkeys([*rows, *(_met(view, **{**met, **before}) if moved else ())])), held


def _met(view: View, **which: Any) -> list[Met]:
    return [Met(*row) for row in view.columns(Activity, *Met._fields, **which)]
