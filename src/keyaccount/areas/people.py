"""`desk.people`: who looks after whom, and who matters on their side."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import attrs

from keyaccount import cards
from keyaccount.errors import NotFound, ValidationError, nearest
from keyaccount.facts import gather
from keyaccount.model.contacts import Contact, ContactRole, Position
from keyaccount.model.organisations import Address, Organisation
from keyaccount.queries import at_least, at_most
from keyaccount.responsible import Responsible, responsible
from keyaccount.results import Result, Rows
from keyaccount.spans import by_start
from keyaccount.values import fold
from keyaccount.view import by_id

if TYPE_CHECKING:
    from keyaccount.desk import Desk


@attrs.frozen(repr=False)
class Vip(Result):
    """An important person of a customer's, where they are important, and where to write to them."""

    contact: Contact
    position: Position
    organisation: Organisation
    address: Address | None


@attrs.frozen(repr=False)
class Vips(Rows[Vip]):
    """The VIPs, by name."""

    rows: tuple[Vip, ...]


@attrs.frozen(repr=False)
class SpecialContacts(Rows[cards.Held]):
    """The special contacts of an organisation, by role."""

    rows: tuple[cards.Held, ...]


class People:
    """Who looks after whom, and who matters on their side; reached as `desk.people`."""

    __slots__ = ("_desk",)

    def __init__(self, desk: Desk) -> None:
        """Belong to a desk."""
        self._desk = desk

    def responsible(
        self, *, organisation: str | None = None, contact: str | None = None, on: date | None = None
    ) -> Responsible | None:
        """Say who looks after a contact or an organisation on a day (today).

        Set at the contact, else at the organisation (a contact's: the current employer whose position began first),
        else inherited from the nearest ancestor whose assignment covers subsidiaries. Nobody gives None.

        Raises NotFound for what cannot be read.
        """
        with self._desk._view() as view:
            day = self._desk._day(on, view)
            given = {"contact": contact, "organisation": organisation}
            self._desk._check_ids(given)
            facts = gather(
                view, day, contacts=[contact] if contact else (), organisations=[organisation] if organisation else ()
            )
            if contact is not None and contact not in facts.contacts:
                raise NotFound("Contact", contact)
            if organisation is not None and organisation not in facts.organisations:
                raise NotFound("Organisation", organisation)
            subject = facts.subject(contact, organisation)
            return responsible(
                facts.assignments,
                facts.users,
                contact_id=contact,
                chain=facts.chain(subject.organisation_id),
                on=day,
            )

    def special_contact(self, organisation: str, role: str, *, on: date | None = None) -> Contact | None:
        """Return who holds a role at an organisation on a day (today); None where nobody does.

        Of several holders the one whose position began first. Raises NotFound, and ValidationError for a role that is
        neither configured nor held here.
        """
        with self._desk._view() as view:
            day = self._desk._day(on, view)
            view.get(Organisation, organisation)
            positions = view.find(Position, organisation_id=organisation)
            known = {row.id for row in view.find(ContactRole)} | {p.role for p in positions if p.role}
            if not isinstance(role, str) or role not in known:
                raise ValidationError.of("ContactRole", "id", role, f"no such role is configured{nearest(role, known)}")
            found = view.find(
                Position, organisation_id=organisation, role=role, valid_from=at_most(day), valid_until=at_least(day)
            )
            first = min(found, key=lambda p: (by_start(p), p.id), default=None)
            return None if first is None else view.get(Contact, first.contact_id)

    def special_contacts(self, organisation: str, *, on: date | None = None) -> SpecialContacts:
        """Return all special contacts of an organisation on a day (today), by role."""
        with self._desk._view() as view:
            day = self._desk._day(on, view)
            card = cards.card(view, (), contact=None, organisation=organisation, context="crm", on=day)
            return SpecialContacts(card.special_contacts)

    def vips(self, *, on: date | None = None) -> Vips:
        """Return the VIPs with a position in force at a readable organisation on a day (today), by name."""
        with self._desk._view() as view:
            people, positions, places = cards.vip_positions(view, self._desk._day(on, view))
            contacts, organisations = by_id(people), by_id(places)
            rows = [
                Vip(contact, position, organisation, _address(contact, position, organisation))
                for position in positions
                if (contact := contacts.get(position.contact_id))
                and (organisation := organisations.get(position.organisation_id))
                and (contact.vip or position.vip)
            ]
            rows.sort(
                key=lambda vip: (fold(vip.contact.name), vip.contact.id, fold(vip.organisation.name), vip.position.id)
            )
            return Vips(tuple(rows))


def _address(contact: Contact, position: Position, organisation: Organisation) -> Address | None:
    if contact.addresses:
        return contact.addresses[0]
    return cards.best_address(organisation) if position.employed else None
