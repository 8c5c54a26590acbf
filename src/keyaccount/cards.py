"""The moments: notes for a form, the business card, and who is calling."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, cast

import attrs

from keyaccount import phones
from keyaccount.errors import NotFound, ValidationError
from keyaccount.facts import Facts, gather
from keyaccount.model.activities import Activity
from keyaccount.model.contacts import Contact, Position
from keyaccount.model.entity import Entity
from keyaccount.model.groups import KeyAccountStatus
from keyaccount.model.notes import ServiceNote
from keyaccount.model.organisations import ADDRESS_RANK, Address, Organisation
from keyaccount.model.organogram import User
from keyaccount.providers import Provider, computed
from keyaccount.queries import Query, at_least, at_most, dialled, one_of
from keyaccount.responsible import Responsible
from keyaccount.results import Result
from keyaccount.search import prepared
from keyaccount.searching import aliases
from keyaccount.spans import by_start, in_force
from keyaccount.view import View, by_id
from keyaccount.visibility import ComputedNote, Notes, NotesFor, Subject, resolve


@attrs.frozen(repr=False)
class Held(Result):
    """A position as a card shows it, with the names on both sides."""

    position_id: str
    contact_id: str
    contact_name: str
    organisation_id: str
    organisation_name: str
    title: str | None
    department: str | None
    role: str | None
    employed: bool
    vip: bool
    phones: tuple[str, ...]
    emails: tuple[str, ...]


@attrs.frozen(repr=False)
class LastContact(Result):
    """The latest contact in both directions: when, by whom of ours, how, with whom, by which activity."""

    at: datetime | None
    by: User | None
    kind: str
    contact: Contact | None
    activity_id: str


@attrs.frozen(repr=False)
class Match(Result):
    """Somebody a phone number can belong to; `extension` counts the digits dialled behind a head number."""

    name: str
    contact_id: str | None
    organisation_id: str | None
    number: str
    extension: int


@attrs.frozen(repr=False)
class BusinessCard(Result):
    """All that matters about a contact or an organisation in one moment.

    `contact` and `organisation` are the records (None where the card is about the other alone). `status` is what the
    organisation is among the key accounts: candidate, key, former, or None. `others` are further matches of a caller's
    number, in order.
    """

    name: str
    context: str
    contact: Contact | None
    organisation: Organisation | None
    vip: bool
    key_account_manager: Responsible | None
    deputy: Responsible | None
    positions: tuple[Held, ...]
    phones: tuple[str, ...]
    emails: tuple[str, ...]
    address: Address | None
    special_contacts: tuple[Held, ...]
    notes: Notes
    last_contact: LastContact | None
    next_follow_up: Activity | None
    number: str | None = None
    others: tuple[Match, ...] = ()
    status: str | None = None

    also = ("must_stop",)

    @property
    def must_stop(self) -> bool:
        """Whether a note says that a host should not go on."""
        return self.notes.must_stop


def notes(
    view: View,
    providers: Sequence[Provider],
    *,
    contact: str | None,
    organisation: str | None,
    context: str,
    on: date,
) -> Notes:
    """Return the notes for one subject in a context.

    Raises NotFound for a subject that cannot be read, UnknownContext.
    """
    facts = gather(view, on, contacts=_given(contact), organisations=_given(organisation))
    _must_be_there(facts, contact, organisation)
    return seen(view, providers, facts, facts.subject(contact, organisation), context)


def notes_for(
    view: View, providers: Sequence[Provider], *, organisations: Iterable[str], context: str, on: date
) -> NotesFor:
    """Return the notes of many organisations, in the order given; those that cannot be read are left out."""
    now = {id: id for id in organisations}
    facts = gather(view, on, organisations=tuple(now))
    if missing := [id for id in now if id not in facts.organisations]:
        merged = aliases(view, Organisation, missing)
        now |= merged
        facts = gather(view, on, organisations=tuple(dict.fromkeys(now.values()))) if merged else facts
    known = {id: at for id, at in now.items() if at in facts.organisations}
    if not known:
        resolve((), subject=Subject(), context=context, rules=facts.rules, on=on)
    return NotesFor({id: seen(view, providers, facts, facts.subject(None, at), context) for id, at in known.items()})


def seen(view: View, providers: Sequence[Provider], facts: Facts, subject: Subject, context: str) -> Notes:
    """Resolve written and computed notes for one subject."""
    found: list[ServiceNote | ComputedNote] = [*facts.notes_on(subject), *computed(view, facts, subject, providers)]
    return resolve(found, subject=subject, context=context, rules=facts.rules, on=facts.on)


def card(
    view: View,
    providers: Sequence[Provider],
    *,
    contact: str | None,
    organisation: str | None,
    context: str,
    on: date,
) -> BusinessCard:
    """Make the business card of a contact, of an organisation, or of a contact acting for an organisation.

    Raises NotFound for what cannot be read, UnknownContext.
    """
    facts = gather(view, on, contacts=_given(contact), organisations=_given(organisation))
    _must_be_there(facts, contact, organisation)
    subject = facts.subject(contact, organisation)
    last, next_follow_up, by, whom, status = _activities(view, contact, organisation, subject.organisation_id, on)
    person = facts.contacts.get(contact or "")
    account = facts.organisations.get(subject.organisation_id or "")
    who, deputy = facts.looked_after(contact, subject.organisation_id)
    held = facts.held(contact) if contact else []
    here = [p for p in held if p.organisation_id in subject.organisation_ids]
    reached = here if organisation else held
    return BusinessCard(
        name=person.name if person else cast("Organisation", account).name,
        context=context,
        contact=person,
        organisation=account if person is None or organisation or account else None,
        vip=person is not None and (person.vip or any(p.vip for p in here)),
        key_account_manager=who,
        deputy=deputy,
        positions=tuple(_held(facts, p) for p in held),
        phones=_merged(reached, person, account if person is None else None, "phones"),
        emails=_merged(reached, person, account if person is None else None, "emails"),
        address=best_address(account)
        if person is None
        else address_of(person, held, facts.organisations, asked=organisation),
        special_contacts=tuple(
            _held(facts, p) for p in facts.special if p.role and p.organisation_id == subject.organisation_id
        ),
        notes=seen(view, providers, facts, subject, context),
        last_contact=None if last is None else told(view, last, by, whom),
        next_follow_up=next_follow_up,
        status=status,
    )


def caller(
    view: View, providers: Sequence[Provider], number: str, *, region: str | None, on: date
) -> BusinessCard | None:
    """Say who is calling: the best match's card in the context "phone", with the others; None where nobody is found."""
    matches = _ranked(view, *_matches(view, phones.asked(number, region), region, on), on)
    if not matches:
        return None
    best, *others = matches
    found = card(view, providers, contact=best.contact_id, organisation=best.organisation_id, context="phone", on=on)
    return attrs.evolve(found, number=best.number, others=tuple(others))


def dialled_by(view: View, text: str, *, region: str | None, on: date) -> frozenset[tuple[str, str]]:
    """Return the kinds and ids that a text reaches as a phone number, where it has the digits of one and no letters."""
    if len(prepared(text)[1]) < phones.FEWEST_PREFIX_DIGITS:
        return frozenset()
    matches, _ = _matches(view, phones.asked(text, region), region, on)
    contacts = (("Contact", match.contact_id) for match in matches if match.contact_id)
    places = (("Organisation", match.organisation_id) for match in matches if not match.contact_id)
    return frozenset((kind, id) for kind, id in (*contacts, *places) if id)


# ---- card ------------------------------------------------------------------------------------------------


def _given(id: str | None) -> tuple[str, ...]:
    return () if id is None else (id,)


def _must_be_there(facts: Facts, contact: str | None, organisation: str | None) -> None:
    if contact is None and organisation is None:
        raise ValidationError.of("card", "", None, "give a contact, an organisation, or both")
    if contact is not None and contact not in facts.contacts:
        raise NotFound("Contact", contact)
    if organisation is not None and organisation not in facts.organisations:
        raise NotFound("Organisation", organisation)


def told(view: View, last: Activity, by: User | None, whom: Contact | None) -> LastContact:
    """Make the answer of a latest contact, its moment in the book's zone."""
    at = last.at.astimezone(view.now.tzinfo) if last.at else None
    return LastContact(at, by, last.kind, whom, last.id)


def last_contact_query(view: View, on: date, **on_whom: Any) -> Query:
    """Ask for the latest two-way activity up to the end of a day, and not later than now."""
    return view.query(Activity, **on_whom, two_way=True, at=at_most(view.until(on)), order=("-at", "-id"), limit=1)


def _activities(
    view: View, contact: str | None, organisation: str | None, account: str | None, on: date
) -> tuple[Activity | None, Activity | None, User | None, Contact | None, str | None]:
    """Read the last contact and the next follow-up: with the contact, for the organisation, whichever is asked.

    Also what the account is among the key accounts, by the status that began last.
    """
    whom: dict[str, Any] = {} if contact is None else {"contact_ids": contact}
    if organisation is not None:
        whom["organisation_id"] = organisation
    latest, following, statuses = view.gather(
        last_contact_query(view, on, **whom),
        view.query(Activity, **whom, open=True, order=("follow_up_on", "id"), limit=1),
        view.query(
            KeyAccountStatus,
            organisation_id=one_of(_given(account)),
            valid_from=at_most(on),
            valid_until=at_least(on),
        ),
    )
    last = cast("Activity | None", latest[0] if latest else None)
    follow_up = cast("Activity | None", following[0] if following else None)
    users, contacts = view.gather(
        view.query(User, id=one_of([last.by_id] if last and last.by_id else [])),
        view.query(Contact, id=one_of(list(last.contact_ids[:1]) if last else [])),
    )
    by = cast("User | None", users[0] if users else None)
    current = max(cast("list[KeyAccountStatus]", statuses), key=lambda row: (by_start(row), row.id), default=None)
    status = None if current is None else current.status
    return last, follow_up, by, cast("Contact | None", contacts[0] if contacts else None), status


def _held(facts: Facts, position: Position) -> Held:
    contact = facts.contacts.get(position.contact_id)
    organisation = facts.organisations.get(position.organisation_id)
    return Held(
        position_id=position.id,
        contact_id=position.contact_id,
        contact_name=contact.name if contact else "",
        organisation_id=position.organisation_id,
        organisation_name=organisation.name if organisation else "",
        title=position.title,
        department=position.department,
        role=position.role,
        employed=position.employed,
        vip=position.vip or bool(contact and contact.vip),
        phones=position.phones,
        emails=position.emails,
    )


def _merged(
    held: Sequence[Position], contact: Contact | None, organisation: Organisation | None, field: str
) -> tuple[str, ...]:
    """Return phones or e-mails, each once: of the positions, then the person's own; else the organisation's."""
    sources = [*held, *filter(None, (contact, organisation))]
    return tuple(dict.fromkeys(text for source in sources for text in getattr(source, field)))


def address_of(
    person: Contact, held: Sequence[Position], organisations: Mapping[str, Organisation], *, asked: str | None
) -> Address | None:
    """Return the address to write to: the person's own, else that of the employer asked for, else of the first one.

    `held` are the positions in force, the one that began first in front; special roles lead to no address.
    """
    if person.addresses:
        return person.addresses[0]
    return best_address(organisations.get(employer_of(held, asked=asked) or ""))


def employer_of(held: Sequence[Position], *, asked: str | None) -> str | None:
    """Return the organisation that lends its address: the employer asked for, else the first one; None without any."""
    employers = [p.organisation_id for p in held if p.employed]
    if not employers:
        return None
    return asked if asked in employers else employers[0]


def best_address(organisation: Organisation | None) -> Address | None:
    """Return an organisation's address: company before shipping and billing; None where it has none."""
    if organisation is None:
        return None
    return min(organisation.addresses, key=lambda address: ADDRESS_RANK[address.purpose], default=None)


# ---- caller ----------------------------------------------------------------------------------------------


def _matches(view: View, asked: phones.Asked, region: str | None, on: date) -> tuple[list[Match], set[Any]]:
    """Find whom a number can belong to, among readable positions in force, organisations and contacts; and VIPs there.

    VIPs are named by their contact, or by contact and organisation.
    """
    if not asked.keys:
        return [], set()
    keys = dialled(asked.keys)
    organisations, positions, contacts = view.gather(
        view.query(Organisation, phones=keys),
        view.query(Position, phones=keys, valid_from=at_most(on), valid_until=at_least(on)),
        view.query(Contact, phones=keys),
    )
    held = cast("list[Position]", positions)
    owners, people, all_held = view.gather(
        view.query(Organisation, id=one_of([p.organisation_id for p in held])),
        view.query(Contact, id=one_of([p.contact_id for p in held])),
        view.query(Position, contact_id=one_of([*(p.contact_id for p in held), *(c.key for c in contacts)])),
    )
    at, whose = by_id(cast("list[Organisation]", owners)), by_id(cast("list[Contact]", people))
    now_held = [p for p in cast("list[Position]", all_held) if in_force(p, on)]
    own_numbers = {contact.key for contact in contacts}
    elsewhere = _countries(view, [p for p in now_held if p.employed and p.contact_id in own_numbers])
    vips: set[Any] = {c.key for c in cast("list[Contact]", [*people, *contacts]) if c.vip}
    vips |= {(p.contact_id, p.organisation_id) for p in now_held if p.vip}
    found = [
        *(
            _match(asked, o.name, o, [o.country, region], organisation_id=o.id, head=True)
            for o in cast("list[Organisation]", organisations)
        ),
        *(
            _match(
                asked,
                whose[p.contact_id].name,
                p,
                [at[p.organisation_id].country, region],
                contact_id=p.contact_id,
                organisation_id=p.organisation_id,
            )
            for p in held
            if p.organisation_id in at and p.contact_id in whose
        ),
        *(
            _match(asked, c.name, c, [c.country, *elsewhere.get(c.id, ()), region], contact_id=c.id)
            for c in cast("list[Contact]", contacts)
        ),
    ]
    return _nearest([match for match in found if match is not None]), vips


def _countries(view: View, held: Sequence[Position]) -> dict[str, list[str | None]]:
    """Read the countries of the readable employers of some contacts: where their own numbers may be written."""
    places = by_id(view.find(Organisation, id=one_of([p.organisation_id for p in held]))) if held else {}
    found: dict[str, list[str | None]] = {}
    for position in held:
        if (place := places.get(position.organisation_id)) is not None:
            found.setdefault(position.contact_id, []).append(place.country)
    return found


def _match(
    asked: phones.Asked,
    name: str,
    source: Entity,
    regions: Sequence[str | None],
    *,
    contact_id: str | None = None,
    organisation_id: str | None = None,
    head: bool = False,
) -> Match | None:
    """Verify a candidate by really reading its numbers in their region: the first that is known, else any."""
    numbers: tuple[str, ...] = source.phones  # type: ignore[attr-defined]
    read = list(dict.fromkeys(regions[:1] if regions[0] else regions))
    best: Match | None = None
    for number in numbers:
        extension = phones.match(asked, number, regions=read, head=head)
        if extension is not None and (best is None or extension < best.extension):
            best = Match(name, contact_id, organisation_id, number, extension)
    return best


def _nearest(matches: Sequence[Match]) -> list[Match]:
    """Keep exact matches; without any, those of the longest registered prefix. A person at a position counts once."""
    closest = min((match.extension for match in matches), default=0)
    kept = [match for match in matches if match.extension == closest]
    placed = {match.contact_id for match in kept if match.contact_id and match.organisation_id}
    return [match for match in kept if match.organisation_id is not None or match.contact_id not in placed]


def _ranked(view: View, matches: list[Match], vips: Collection[Any], on: date) -> list[Match]:
    """Order matches: contacts first, then VIPs, then the latest contact, then by id."""
    if len(matches) < 2:  # noqa: PLR2004
        return matches
    people = [match.contact_id for match in matches if match.contact_id]
    places = [match.organisation_id for match in matches if match.organisation_id and not match.contact_id]
    latest = _latest(view, on, "contact_ids", people) | _latest(view, on, "organisation_id", places)

    def rank(match: Match) -> tuple[Any, ...]:
        important = match.contact_id in vips or (match.contact_id, match.organisation_id) in vips
        at = latest.get(
            ("contact_ids", match.contact_id) if match.contact_id else ("organisation_id", match.organisation_id)
        )
        return (
            match.contact_id is None,
            not important,
            at is None,
            -at.timestamp() if at else 0,
            match.contact_id or "",
            match.organisation_id or "",
        )

    return sorted(matches, key=rank)


def _latest(view: View, on: date, field: str, ids: Sequence[str]) -> dict[tuple[str, str | None], datetime]:
    """Read when the last contact with each of some contacts or organisations was, in one question."""
    if not ids:
        return {}
    found = view.totals(last_contact_query(view, on, **{field: one_of(ids)}), (field,), highs=("at",))
    return {(field, one.key[0]): one.highs[0] for one in found}


def vip_positions(view: View, on: date) -> tuple[list[Contact], list[Position], list[Organisation]]:
    """Read the VIPs of a day: the people, all their positions in force (first begun in front), and the places."""
    in_force_then: dict[str, Any] = {"valid_from": at_most(on), "valid_until": at_least(on)}
    marked, there = view.gather(view.query(Contact, vip=True), view.query(Position, vip=True, **in_force_then))
    ids = one_of([*(row.key for row in marked), *(p.contact_id for p in cast("list[Position]", there))])
    people, positions = view.gather(view.query(Contact, id=ids), view.query(Position, contact_id=ids, **in_force_then))
    held = sorted(cast("list[Position]", positions), key=lambda p: (by_start(p), p.id))
    places = view.find(Organisation, id=one_of([p.organisation_id for p in held]))
    return cast("list[Contact]", people), held, places
