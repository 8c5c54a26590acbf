"""`desk.people`: who looks after whom, and who matters on their side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime, time
from typing import cast

import attrs

from keyaccount import access, cards
from keyaccount.areas.appointments import Appointments
from keyaccount.charts import OrgChart, chart
from keyaccount.errors import NotFound, ValidationError, nearest
from keyaccount.facts import gather
from keyaccount.mailing import Vips, vips_of
from keyaccount.model.contacts import Contact, ContactRole, Position
from keyaccount.model.organisations import Organisation
from keyaccount.model.rights import Assignment
from keyaccount.queries import at_least, at_most, is_none, one_of
from keyaccount.responsible import Responsible
from keyaccount.results import Result, Rows
from keyaccount.searching import by_id_or_alias, or_alias
from keyaccount.spans import by_start
from keyaccount.values import fold
from keyaccount.view import by_id, readers


@attrs.frozen(repr=False)
class SpecialContacts(Rows[cards.Held]):
    """The special contacts of an organisation, by role."""

    rows: tuple[cards.Held, ...]


@attrs.frozen(repr=False)
class Vacancy(Result):
    """A required role that nobody holds at an organisation."""

    organisation: Organisation
    role: ContactRole


@attrs.frozen(repr=False)
class Vacancies(Rows[Vacancy]):
    """The required roles nobody holds, by organisation."""

    rows: tuple[Vacancy, ...]


@attrs.frozen(repr=False)
class WhoMayRead(Rows[access.Decision]):
    """The users who may read an organisation on a day, by id, each with their right and its reasons.

    `remarks` says what is known as of now alone.
    """

    organisation_id: str
    rows: tuple[access.Decision, ...]
    on: date
    remarks: tuple[str, ...] = ()


@attrs.frozen(repr=False)
class Orphans(Rows[Organisation]):
    """Private organisations without a key account manager in force: nobody reads them."""

    rows: tuple[Organisation, ...]


class People(Appointments):
    """Who looks after whom, and who matters on their side; reached as `desk.people`."""

    __slots__ = ()

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

            def ask(organisation: str | None, contact: str | None) -> Responsible | None:
                facts = gather(
                    view,
                    day,
                    contacts=[contact] if contact else (),
                    organisations=[organisation] if organisation else (),
                )
                if contact is not None and contact not in facts.contacts:
                    raise NotFound("Contact", contact)
                if organisation is not None and organisation not in facts.organisations:
                    raise NotFound("Organisation", organisation)
                subject = facts.subject(contact, organisation)
                return facts.looked_after(contact, subject.organisation_id)[0]

            return or_alias(view, ask, Organisation, organisation, contact)

    def special_contact(self, organisation: str, role: str, *, on: date | None = None) -> Contact | None:
        """Return who holds a role at an organisation on a day (today); None where nobody does.

        Of several holders the one whose position began first. Raises NotFound, and ValidationError for a role that is
        neither configured nor held here.
        """
        with self._desk._view() as view:
            day = self._desk._day(on, view)
            at = by_id_or_alias(view, Organisation, organisation).id
            positions = view.find(Position, organisation_id=at)
            known = {row.id for row in view.find(ContactRole)} | {p.role for p in positions if p.role}
            if not isinstance(role, str) or role not in known:
                raise ValidationError.of("ContactRole", "id", role, f"no such role is configured{nearest(role, known)}")
            found = view.find(
                Position, organisation_id=at, role=role, valid_from=at_most(day), valid_until=at_least(day)
            )
            first = min(found, key=lambda p: (by_start(p), p.id), default=None)
            return None if first is None else view.get(Contact, first.contact_id)

    def special_contacts(self, organisation: str, *, on: date | None = None) -> SpecialContacts:
        """Return all special contacts of an organisation on a day (today), by role."""
        self._desk._check_ids({"organisation": organisation})
        with self._desk._view() as view:
            day = self._desk._day(on, view)
            at = by_id_or_alias(view, Organisation, organisation).id
            card = cards.card(view, (), contact=None, organisation=at, context="crm", on=day)
            return SpecialContacts(card.special_contacts)

    def vips(self, *, on: date | None = None) -> Vips:
        """Return the VIPs with a position in force at a readable organisation on a day (today), by name.

        `.to_csv(path)` writes them as a mailing list.
        """
        with self._desk._view() as view:
            return vips_of(*cards.vip_positions(view, self._desk._day(on, view)))

    def vacant_roles(self, *, on: date | None = None) -> Vacancies:
        """Return the required roles that nobody holds at readable customers on a day (today), by organisation."""
        with self._desk._view() as view:
            day = self._desk._day(on, view)
            roles = view.find(ContactRole, required=True, order="id")
            if not roles:
                return Vacancies(())
            held = view.find(
                Position, role=one_of([r.id for r in roles]), valid_from=at_most(day), valid_until=at_least(day)
            )
            filled = {(p.organisation_id, p.role) for p in held}
            said, unsaid = view.gather(
                view.query(Organisation, relationships="customer"), view.query(Organisation, relationships=is_none)
            )
            everyone = cast("list[Organisation]", [*said, *unsaid])  # who does not say what it is counts as a customer
            customers = sorted(everyone, key=lambda row: (fold(row.name), row.id))
            return Vacancies(tuple(Vacancy(o, r) for o in customers for r in roles if (o.id, r.id) not in filled))

    def org_chart(self, organisation: str, *, on: date | None = None) -> OrgChart:
        """Return an organisation's people by who reports to whom on a day (today); `.mermaid()` draws it.

        Raises NotFound.
        """
        with self._desk._view() as view:
            day = self._desk._day(on, view)
            account = by_id_or_alias(view, Organisation, organisation)
            positions = view.find(
                Position, organisation_id=account.id, valid_from=at_most(day), valid_until=at_least(day)
            )
            people = by_id(view.find(Contact, id=one_of([p.contact_id for p in positions])))
            return chart(account.id, account.name, positions, people)

    def who_may_read(self, organisation: str, *, on: date | None = None) -> WhoMayRead:
        """Return every active user who may read an organisation on a day (today), with reasons: the auditor's question.

        For another day assignments, grants, substitutions and broken glass count as they were dated; what has no dates
        counts as it is now, and `remarks` says so. For trusted desks only. Raises NotFound.
        """
        with self._desk._view() as view:
            view.need_trusted("who_may_read")
            day = self._desk._day(on, view)
            at = by_id_or_alias(view, Organisation, organisation).id
            account, claims = view.claims_on(at)
            moments = _moments(claims, day, view.now)
            decisions = (access.decide(reader, account, claims) for reader in readers(view, moments))
            allowed = tuple(decision for decision in decisions if decision)
            return WhoMayRead(at, allowed, day, () if day == view.today else (_UNDATED,))

    def orphaned(self) -> Orphans:
        """Return the private organisations that nobody reads, by name: no active key account manager is in force.

        For trusted desks only.
        """
        with self._desk._view() as view:
            view.need_trusted("orphaned")
            private = view.find(Organisation, private=True, order="name")
            managed = view.managed(view.find(Assignment, organisation_id=one_of([o.id for o in private])))
            return Orphans(tuple(o for o in private if o.id not in managed))


_UNDATED = "users, units, parents, what is private and the policy count as they are now"


def _moments(claims: Sequence[access.Claim], day: date, now: datetime) -> Callable[[str], datetime]:
    """Return for each user the moment of a day to ask about: now, or of another day when a glass was open to them."""
    if day == now.date():
        return lambda _: now
    begins = datetime.combine(day, time(), now.tzinfo)
    ends = datetime.combine(day, time.max, now.tzinfo)
    opened: dict[str, datetime] = {}
    for claim in claims:
        whom, opens, closes = claim.principal.id, claim.opens_at, claim.closes_at
        if whom is not None and opens is not None and closes is not None and opens <= ends and closes > begins:
            opened[whom] = max(opens.astimezone(now.tzinfo), begins)
    return lambda user: opened.get(user, ends)
