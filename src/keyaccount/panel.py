"""The control panel: how much of everything hangs on an account, how much of it is open, and the newest few."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, cast

import attrs

from keyaccount.calendars import ONE_DAY
from keyaccount.model.activities import Activity
from keyaccount.model.commerce import Invoice, Order
from keyaccount.model.contacts import Contact, Position
from keyaccount.model.contracts import Contract
from keyaccount.model.entity import Entity
from keyaccount.model.links import Link
from keyaccount.model.notes import ServiceNote
from keyaccount.model.organisations import Organisation
from keyaccount.model.sales import Opportunity
from keyaccount.queries import Query, at_least, at_most, is_none, one_of
from keyaccount.results import Result
from keyaccount.spans import by_start
from keyaccount.values import FrozenMap
from keyaccount.view import View, by_id

NEWEST = 5
POINTED_TO = ("tasks", "issues", "projects", "tickets", "documents")
"""What links point to as shipped; a host's own kinds of link stand behind them, by name."""

_DAY_OF: dict[type[Entity], tuple[str, str]] = {
    Activity: ("activities", "at"),
    ServiceNote: ("notes", "created_at"),
    Contract: ("contracts", "starts_on"),
    Order: ("orders", "ordered_on"),
    Invoice: ("invoices", "issued_on"),
    Opportunity: ("opportunities", "id"),
}
"""Under which key records are counted, and the day (or moment, or the id) by which they are new."""

CLOSABLE = ("activities", "contracts", "orders", "invoices", "opportunities")
SHIPPED = ("contacts", *(key for key, _ in _DAY_OF.values()), *POINTED_TO)


@attrs.frozen(repr=False)
class Panel(Result):
    """All that hangs on an organisation, by what it is: "contacts", "activities", "contracts", "tasks" and so on.

    `counts` has every shipped key, also where nothing is there, and each kind of link by its plural. `open_counts` has
    those of what can be open: promises to be kept, contracts that have not ended, orders to be delivered, invoices and
    credit notes with something to be paid, open opportunities and links. `latest` are the newest few of each, the
    newest first.
    """

    organisation: Organisation
    on: date
    counts: FrozenMap[str, int]
    open_counts: FrozenMap[str, int]
    latest: FrozenMap[str, tuple[Entity, ...]]


def panel(view: View, organisation: str, on: date) -> Panel:
    """Make the control panel of an organisation; the round trips do not grow with what hangs on it.

    Contacts are the people with a position in force on the day, contracts and invoices are open as of the day; all else
    is as it stands now. Raises NotFound.
    """
    account = view.get(Organisation, organisation)
    counts, open_counts, kinds = _counted(view, account.id, on)
    held, *records = view.gather(*_questions(view, account.id, on, kinds))
    people = _newest_people(cast("list[Position]", held))
    counts["contacts"] += len(people)
    contacts = by_id(view.find(Contact, id=one_of(people[:NEWEST])))
    latest = {"contacts": tuple(contacts[id] for id in people[:NEWEST] if id in contacts), **_by_key(records)}
    keys = [*SHIPPED, *sorted({plural(kind) for kind in kinds} - set(SHIPPED))]
    return Panel(
        organisation=account,
        on=on,
        counts=FrozenMap({key: counts[key] for key in keys}),
        open_counts=FrozenMap({key: open_counts[key] for key in keys if key in open_counts}),
        latest=FrozenMap({key: latest.get(key, ()) for key in keys}),
    )


def plural(kind: str) -> str:
    """Return the key under which links of a kind are counted: its English plural; a plural stays as it is.

    >>> [plural(kind) for kind in ("task", "opportunity", "box", "delay", "documents")]
    ['tasks', 'opportunities', 'boxes', 'delays', 'documents']
    """
    if kind.endswith(("ss", "x", "z", "ch", "sh")):
        return f"{kind}es"
    if kind.endswith("s"):
        return kind
    return f"{kind[:-1]}ies" if kind.endswith("y") and kind[-2:-1] not in "aeiou" else f"{kind}s"


def _counted(view: View, organisation: str, on: date) -> tuple[Counter[str], Counter[str], list[str]]:
    """Count the records, those of them that are open, and the links by their kind; name the kinds of link found."""
    counts: Counter[str] = Counter()
    open_counts = Counter(dict.fromkeys((*CLOSABLE, *POINTED_TO), 0))
    at: dict[str, Any] = {"organisation_id": organisation}
    for closing in (Activity, Order, Opportunity):
        for total in view.totals(view.query(closing, **at), ("open",)):
            counts[_DAY_OF[closing][0]] += total.count
            open_counts[_DAY_OF[closing][0]] += total.count if total.key[0] else 0
    for cls in (ServiceNote, Contract, Invoice):
        counts[_DAY_OF[cls][0]] += view.count(view.query(cls, **at))
    open_counts["contracts"] = view.count(view.query(Contract, **at, last_day=at_least(on)))
    open_counts["invoices"] = view.count(view.query(Invoice, **at, settled_on=at_least(on + ONE_DAY)))
    kinds: set[str] = set()
    for total in view.totals(view.query(Link, **at), ("kind", "open")):
        kind, is_open = total.key
        kinds.add(kind)
        counts[plural(kind)] += total.count
        open_counts[plural(kind)] += total.count if is_open else 0
    return counts, open_counts, sorted(kinds)


def _questions(view: View, organisation: str, on: date, kinds: Sequence[str]) -> list[Query]:
    """Ask for the positions in force, and for the newest of each record and each kind of link.

    Links without a day are not the newest: they are asked for apart, and fill up what is left.
    """
    at: dict[str, Any] = {"organisation_id": organisation}
    newest: dict[str, Any] = {"order": ("-dated_on", "-id"), "limit": NEWEST}
    return [
        view.query(Position, **at, valid_from=at_most(on), valid_until=at_least(on)),
        *(view.query(cls, **at, order=(f"-{day}", "-id"), limit=NEWEST) for cls, (_, day) in _DAY_OF.items()),
        *(
            view.query(Link, **at, kind=kind, dated_on=day, **newest)
            for kind in kinds
            for day in (at_least(date.min), is_none)
        ),
    ]


def _newest_people(positions: Iterable[Position]) -> list[str]:
    """Return who holds positions, each once, whoever took up theirs last in front."""
    ordered = sorted(positions, key=lambda position: (by_start(position), position.id), reverse=True)
    return list(dict.fromkeys(position.contact_id for position in ordered))


def _by_key(found: Iterable[Sequence[Entity]]) -> Mapping[str, tuple[Entity, ...]]:
    """Arrange the newest by their key; links that share the key of records come after these."""
    rows = [row for some in found for row in some]
    links = sorted((row for row in rows if isinstance(row, Link)), key=_newness, reverse=True)
    latest: defaultdict[str, list[Entity]] = defaultdict(list)
    for row in rows:
        if not isinstance(row, Link):
            latest[_DAY_OF[type(row)][0]].append(row)
    for link in links:
        latest[plural(link.kind)].append(link)
    return {key: tuple(some[:NEWEST]) for key, some in latest.items()}


def _newness(link: Link) -> tuple[date, str]:
    return link.dated_on or date.min, link.id
