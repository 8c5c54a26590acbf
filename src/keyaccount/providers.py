"""Notes made from data: those that ship with the library, and those a host adds with one function."""

from __future__ import annotations

import traceback
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from typing import Any, TypeAlias, TypeVar

import attrs

from keyaccount import contracts
from keyaccount.catalogue import KINDS
from keyaccount.errors import ValidationError, logger, shown
from keyaccount.facts import Facts
from keyaccount.model.entity import Entity
from keyaccount.model.links import Link
from keyaccount.model.notes import Severity
from keyaccount.money import Money
from keyaccount.succession import Standing
from keyaccount.values import FrozenMap
from keyaccount.view import View
from keyaccount.visibility import ComputedNote, Subject

E = TypeVar("E", bound=Entity)


class Sight:
    """What a provider may look at: the records that the desk which asks may read, on the day it asks about."""

    __slots__ = ("_view", "on")

    def __init__(self, view: View, on: date) -> None:
        """Look through a view."""
        self._view, self.on = view, on

    def get(self, kind: type[E], /, id: str) -> E:
        """Return one readable record, or raise NotFound."""
        return self._view.get(kind, id)

    def find(self, kind: type[E], /, **conditions: Any) -> list[E]:
        """Return the readable records that meet the conditions."""
        return self._view.find(kind, **conditions)

    def count(self, kind: type[Entity], /, **conditions: Any) -> int:
        """Count the readable records that meet the conditions."""
        return self._view.count(self._view.where(kind, conditions))


Function: TypeAlias = Callable[[Sight, Subject], Iterable[ComputedNote]]


@attrs.frozen
class Provider:
    """A host's own source of notes: a name, and a function of what the desk sees and whom it asks about.

    >>> def stock(sight, subject):
    ...     yield ComputedNote("Spare parts on the way", code="spare-parts")
    >>> Provider("stock", stock).name
    'stock'
    """

    name: str
    function: Function

    def __attrs_post_init__(self) -> None:
        """Refuse what has no name, or cannot be called."""
        if not isinstance(self.name, str) or not self.name or len(self.name) > 200 or not self.name.isprintable():  # noqa: PLR2004
            raise ValidationError.of("Provider", "name", self.name, "must be a short name")
        if self.name in SHIPPED:
            raise ValidationError.of("Provider", "name", self.name, "is the name of a shipped provider")
        if not callable(self.function):
            raise ValidationError.of("Provider", "function", self.function, "must be a function")


def computed(view: View, facts: Facts, subject: Subject, providers: Sequence[Provider]) -> Iterator[ComputedNote]:
    """Yield the computed notes for a subject: shipped ones, the host's, and a warning for each that is missing."""
    for name, function in SHIPPED.items():
        yield from _signed(name, subject, function(facts, subject))
    for provider in providers:
        yield from _signed(provider.name, subject, _called(provider, Sight(view, facts.on), subject))
    given = {provider.name for provider in providers}
    for name in facts.expected:
        if name not in given:
            text = f"provider {name} is not installed here"
            yield from _signed(
                name, subject, [ComputedNote(text, Severity.WARNING, "provider-missing", {"provider": name})]
            )


def _called(provider: Provider, sight: Sight, subject: Subject) -> list[ComputedNote]:
    """Ask a host's function; what it raises, or returns besides notes on this subject, hides nothing of the others."""
    try:
        found = list(provider.function(sight, subject))
    except Exception as error:  # noqa: BLE001 - a host's function may raise anything
        logger.error("provider %s failed: %s", shown(provider.name), _where(error))
        return [_failed(provider)]
    notes = [note for note in found if isinstance(note, ComputedNote)]
    kept = [note for note in notes if _on_subject(note, subject)]
    if len(kept) < len(notes):
        logger.warning("provider %s: %d notes on another subject dropped", shown(provider.name), len(notes) - len(kept))
    if len(notes) < len(found):
        logger.error("provider %s failed: it returned what is no ComputedNote", shown(provider.name))
        kept.append(_failed(provider))
    return kept


def _failed(provider: Provider) -> ComputedNote:
    """Return the warning that stands where a provider's notes are missing."""
    text = f"provider {provider.name} failed"
    return ComputedNote(text, Severity.WARNING, "provider-failed", {"provider": provider.name})


def _where(error: Exception) -> str:
    """Return the type of an error and the line that raised it: its text could carry what must not be logged."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} at {shown(frames[-1].filename)}:{frames[-1].lineno}"


def _on_subject(note: ComputedNote, subject: Subject) -> bool:
    of_contact = note.contact_id in (None, subject.contact_id)
    return of_contact and (note.organisation_id is None or note.organisation_id in subject.organisation_ids)


def _signed(name: str, subject: Subject, notes: Iterable[ComputedNote]) -> Iterator[ComputedNote]:
    """Give each note its provider, its subject and its id."""
    used: set[str] = set()
    for note in notes:
        contact, organisation = note.contact_id, note.organisation_id
        if contact is None and organisation is None:
            contact, organisation = subject.contact_id, None if subject.contact_id else subject.organisation_id
        base = id = f"{name}:{contact or organisation or ''}"
        while id in used:
            id = f"{base}#{len(used) + 1}"
        used.add(id)
        yield attrs.evolve(note, provider=name, id=id, contact_id=contact, organisation_id=organisation)


# ---- shipped ---------------------------------------------------------------------------------------------


def manager(facts: Facts, subject: Subject) -> Iterator[ComputedNote]:
    """Say who looks after the subject, and the deputy while one is in force."""
    for organisation_id in subject.organisation_ids or (None,):
        found, deputy = facts.looked_after(subject.contact_id, organisation_id)
        if found is None:
            continue
        text = f"Key account manager: {found.user.name}"
        params = {"user_id": found.user.id, "since": found.since}
        if deputy is not None:
            text += f" (deputy: {deputy.user.name})"
            params["deputy_id"] = deputy.user.id
        if found.at_contact:
            yield ComputedNote(text, code="manager", params=FrozenMap(params), contact_id=subject.contact_id)
            return
        yield ComputedNote(text, code="manager", params=FrozenMap(params), organisation_id=organisation_id)


def vip(facts: Facts, subject: Subject) -> Iterator[ComputedNote]:
    """Say that the contact is a VIP: everywhere, or at the organisation in question."""
    contact = facts.contacts.get(subject.contact_id or "")
    if contact is None:
        return
    here = [p for p in facts.held(contact.id) if p.vip and p.organisation_id in subject.organisation_ids]
    if contact.vip or here:
        yield ComputedNote(f"VIP: {contact.name}", code="vip", contact_id=contact.id)


def promises(facts: Facts, subject: Subject) -> Iterator[ComputedNote]:
    """Warn of follow-ups that are overdue."""
    where = [(None, organisation_id) for organisation_id in subject.organisation_ids]
    for contact, organisation in [(subject.contact_id, None), *where]:
        late = facts.overdue.get(contact or organisation or "", ())
        if late:
            since = late[0].follow_up_on
            text = f"{counted(len(late), 'overdue follow-up')}, the oldest due {since}"
            params = {"activity_ids": tuple(a.id for a in late), "since": since}
            yield ComputedNote(text, Severity.WARNING, "promises", params, organisation, contact)


def broken_glass(facts: Facts, subject: Subject) -> Iterator[ComputedNote]:
    """Warn whoever may read a private account that a steward has it open."""
    for organisation_id in subject.organisation_ids:
        for row in facts.opened.get(organisation_id, ()):
            who = facts.users[row.user_id].name if row.user_id in facts.users else row.user_id
            closes = row.closes_at.astimezone(facts.now.tzinfo) if row.closes_at else None
            text = f"Opened by {who} until {closes:%Y-%m-%d %H:%M %Z}: {row.reason}"
            params = {"user_id": row.user_id, "reason": row.reason, "closes_at": row.closes_at}
            yield ComputedNote(text, Severity.WARNING, "break-glass", params, organisation_id=organisation_id)


def open_contracts(facts: Facts, subject: Subject) -> Iterator[ComputedNote]:
    """Name the contracts in force, by kind, renewed or not."""
    for organisation_id in subject.organisation_ids:
        by_kind: defaultdict[str, list[str]] = defaultdict(list)
        for standing in facts.agreed.get(organisation_id, ()):
            if standing.in_force(facts.on):
                by_kind[standing.known.kind].append(standing.known.id)
        if by_kind:
            kinds = sorted(by_kind, key=lambda kind: (-len(by_kind[kind]), kind))
            text = f"Open contracts: {', '.join(f'{len(by_kind[kind])} {kind}' for kind in kinds)}"
            params = {"contract_ids": FrozenMap({kind: tuple(by_kind[kind]) for kind in kinds})}
            yield ComputedNote(text, code="open-contracts", params=FrozenMap(params), organisation_id=organisation_id)


def open_projects(facts: Facts, subject: Subject) -> Iterator[ComputedNote]:
    """Name the projects that are open."""
    for organisation_id in subject.organisation_ids:
        links = facts.projects.get(organisation_id, ())
        if links:
            text = f"{counted(len(links), 'open project')}: {_listed(_title(link) for link in links)}"
            params = FrozenMap({"link_ids": tuple(link.id for link in links)})
            yield ComputedNote(text, code="open-projects", params=params, organisation_id=organisation_id)


def open_orders(facts: Facts, subject: Subject) -> Iterator[ComputedNote]:
    """Count the order items that are still to be delivered."""
    for organisation_id in subject.organisation_ids:
        orders = facts.orders.get(organisation_id, ())
        if orders:
            items = sum(len(order.lines) for order in orders)
            text = f"{counted(items, 'open order item')} in {counted(len(orders), 'order')}"
            params = FrozenMap({"items": items, "order_ids": tuple(order.id for order in orders)})
            yield ComputedNote(text, code="open-orders", params=params, organisation_id=organisation_id)


def overdue_invoices(facts: Facts, subject: Subject) -> Iterator[ComputedNote]:
    """Warn of invoices past due with something still to be paid at the end of the day; disputed ones are counted in."""
    for organisation_id in subject.organisation_ids:
        late = [i for i in facts.unpaid.get(organisation_id, ()) if i.open_amount_on(facts.on).units > 0]
        if not late:
            continue
        due = {
            one: [i.open_amount_on(facts.on) for i in late if i.currency == one] for one in {i.currency for i in late}
        }
        sums = tuple(Money.total(due[currency], currency) for currency in sorted(due))
        disputed = sum(invoice.disputed for invoice in late)
        text = f"{counted(len(late), 'overdue invoice')}: {' and '.join(str(money.rounded()) for money in sums)}"
        text += f", the oldest due {late[0].due_on}{f', {disputed} disputed' if disputed else ''}"
        ids = tuple(invoice.id for invoice in late)
        params = FrozenMap({"invoice_ids": ids, "open": sums, "since": late[0].due_on, "disputed": disputed})
        yield ComputedNote(text, Severity.WARNING, "overdue-invoices", params, organisation_id)


def renewal_window(facts: Facts, subject: Subject) -> Iterator[ComputedNote]:
    """Warn of contracts from the day their alert is due to their end, while neither renewed nor terminated."""
    for organisation_id in subject.organisation_ids:
        windows = [
            window
            for standing in facts.agreed.get(organisation_id, ())
            if (window := _window(standing, facts.on, facts.lead))
        ]
        if windows:
            windows.sort()
            told = (
                f"{KINDS['Contract'].told(facts.contracts[id])} ({_until(end, by, facts.on)})"
                for end, by, id in windows
            )
            text = f"{counted(len(windows), 'contract')} to renew: {_listed(told)}"
            params = {
                "contract_ids": tuple(id for *_, id in windows),
                "ends": windows[0][0],
                "notice_by": windows[0][1],
            }
            yield ComputedNote(text, Severity.WARNING, "renewal-window", FrozenMap(params), organisation_id)


def _window(standing: Standing, on: date, lead: contracts.Lead) -> tuple[date, date, str] | None:
    """Return the end, the notice deadline and the id of a contract that is in its renewal window on a day, or None."""
    deadline = contracts.deadline_of(standing)
    if standing.end is None or deadline is None or standing.known.terminated or standing.successors:
        return None
    alert = contracts.alert_before(deadline, standing.known.kind, standing.known.account, lead)
    begun = max(alert, standing.known.start)
    return (standing.end, deadline, standing.known.id) if begun <= on <= standing.end else None


def _until(end: date, deadline: date, on: date) -> str:
    notice = f", notice by {deadline}" if on <= deadline < end else ""
    return f"ends {end}{notice}"


def _title(link: Link) -> str:
    return link.title or link.reference or link.id


_MOST_NAMED = 3


def _listed(names: Iterable[str]) -> str:
    """Name the first few, and say how many more there are; each of them short enough to be read in passing."""
    told = [name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…" for name in names]
    more = len(told) - _MOST_NAMED
    return ", ".join(told[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


_LONGEST_NAME = 100


def counted(number: int, what: str) -> str:
    """Put a number before a word.

    >>> counted(1, "order"), counted(2, "order")
    ('1 order', '2 orders')
    """
    return f"{number} {what}{'' if number == 1 else 's'}"


SHIPPED: dict[str, Callable[[Facts, Subject], Iterable[ComputedNote]]] = {
    "break-glass": broken_glass,
    "manager": manager,
    "open-contracts": open_contracts,
    "open-orders": open_orders,
    "open-projects": open_projects,
    "overdue-invoices": overdue_invoices,
    "promises": promises,
    "renewal-window": renewal_window,
    "vip": vip,
}
