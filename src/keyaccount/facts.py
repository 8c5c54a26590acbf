"""What a card or a form's notes need, read for many subjects in a constant number of round trips."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime
from typing import Any, TypeVar, cast

import attrs

from keyaccount.calendars import ONE_DAY
from keyaccount.catalogue import KINDS
from keyaccount.contracts import Lead
from keyaccount.model.activities import Activity
from keyaccount.model.commerce import Invoice, Order
from keyaccount.model.contacts import Contact, Position
from keyaccount.model.contracts import Contract
from keyaccount.model.entity import Entity
from keyaccount.model.links import Link
from keyaccount.model.notes import Acknowledgement, Context, ExpectedProvider, NoteCategory, Reference, ServiceNote
from keyaccount.model.organisations import Organisation
from keyaccount.model.organogram import User
from keyaccount.model.rights import Assignment, BreakGlass, Substitution
from keyaccount.queries import Query, above, at_least, at_most, is_none, one_of
from keyaccount.responsible import Responsible, deputy, responsible
from keyaccount.spans import by_start, in_force
from keyaccount.succession import Standing, standings
from keyaccount.values import FrozenMap
from keyaccount.view import View, by_id
from keyaccount.visibility import Rules, Subject, says

E = TypeVar("E", bound=Entity)


@attrs.frozen
class Facts:
    """The readable records around some subjects on a day; `now` is the book's moment, in its zone."""

    on: date
    now: datetime
    contacts: Mapping[str, Contact]
    organisations: Mapping[str, Organisation]
    positions: Sequence[Position]
    special: Sequence[Position]
    assignments: Mapping[str, Sequence[Assignment]]
    substitutions: Sequence[Substitution]
    opened: Mapping[str, Sequence[BreakGlass]]
    users: Mapping[str, User]
    notes: Mapping[str, Sequence[ServiceNote]]
    overdue: Mapping[str, Sequence[Activity]]
    contracts: Mapping[str, Contract]
    agreed: Mapping[str, Sequence[Standing]]
    projects: Mapping[str, Sequence[Link]]
    orders: Mapping[str, Sequence[Order]]
    unpaid: Mapping[str, Sequence[Invoice]]
    expected: Sequence[str]
    rules: Rules
    deputies_see_private: bool
    lead: Lead
    speaking: AbstractSet[str]
    known_chains: dict[str, tuple[Organisation, ...]] = attrs.field(factory=dict)

    def chain(self, organisation_id: str | None) -> list[Organisation]:
        """Return an organisation, and of its readable ancestors those that say something for their subsidiaries.

        The nearest comes first; nothing for None. Who says nothing for others is left out, so that a chain of thousands
        costs a run over thousands of organisations next to nothing.
        """
        own = self.organisations.get(organisation_id or "")
        return [] if own is None else [own, *_ancestors(own, self.organisations, self.speaking, self.known_chains)]

    def held(self, contact_id: str | None) -> list[Position]:
        """Return a contact's positions in force, the one that began first in front."""
        own = [p for p in self.positions if p.contact_id == contact_id and in_force(p, self.on)]
        return sorted(own, key=lambda p: (by_start(p), p.id))

    def subject(self, contact_id: str | None, organisation_id: str | None) -> Subject:
        """Say whom a question is about: without an organisation a contact stands for its current employers."""
        employers = [p.organisation_id for p in self.held(contact_id) if p.employed]
        ids = (organisation_id,) if organisation_id is not None else tuple(dict.fromkeys(employers))
        return Subject(contact_id, ids, tuple(tuple(o.id for o in self.chain(id)[1:]) for id in ids))

    def looked_after(
        self, contact_id: str | None, organisation_id: str | None
    ) -> tuple[Responsible | None, Responsible | None]:
        """Return who looks after a contact or an organisation, and the deputy: see `responsible`."""
        chain = self.chain(organisation_id)
        whom: dict[str, Any] = {"contact_id": contact_id, "chain": chain, "on": self.on}
        near = [contact_id or "", *(organisation.id for organisation in chain)]
        assignments = [assignment for id in near for assignment in self.assignments.get(id, ())]
        manager = responsible(assignments, self._counting(), **whom)
        if chain and chain[0].private and not self.deputies_see_private:
            return manager, None
        return manager, deputy(assignments, self.substitutions, self._counting(), manager=manager, **whom)

    def _counting(self) -> Mapping[str, User]:
        """Return the users whose assignments count: on a past day also those who have left since."""
        if self.on >= self.now.date():
            return self.users
        return {id: attrs.evolve(user, active=True) for id, user in self.users.items()}

    def notes_on(self, subject: Subject) -> Iterator[ServiceNote]:
        """Yield the notes that can concern a subject."""
        near = {subject.contact_id, *subject.organisation_ids, *(id for chain in subject.above for id in chain)}
        for key in near - {None}:
            yield from self.notes.get(cast("str", key), ())


def gather(view: View, on: date, *, contacts: Collection[str] = (), organisations: Collection[str] = ()) -> Facts:
    """Read what is needed to answer for these contacts and organisations; four round trips, whatever their number."""
    people, positions = _people(view, contacts)
    held = [p for p in positions if in_force(p, on)]
    around = tuple(dict.fromkeys([*organisations, *(p.organisation_id for p in held)]))
    family = cast("list[Organisation]", view.find(Organisation, id=above(around)))
    asked = tuple(dict.fromkeys([*organisations, *(p.organisation_id for p in held if p.employed)]))
    found = _around(view, on, contacts, asked, [row.id for row in family])
    assignments = cast("list[Assignment]", [*found["assigned"], *found["looked after"]])
    notes = list(by_id(cast("list[ServiceNote]", [*found["notes"], *found["notes on contacts"]])).values())
    standing_in = cast("list[Substitution]", found["standing in"])
    opened = [row for row in cast("list[BreakGlass]", found["opened"]) if row.closes_at and row.closes_at > view.now]
    contracts = cast("list[Contract]", found["contracts"])
    users, special_people, about, seen, following = _named(
        view,
        sorted({a.user_id for a in assignments} | {s.deputy_id for s in standing_in} | {row.user_id for row in opened}),
        cast("list[Position]", found["special"]),
        notes,
        contracts,
    )
    return Facts(
        on=on,
        now=view.now,
        contacts={**by_id(people), **special_people},
        organisations=by_id(family),
        positions=positions,
        special=cast("list[Position]", found["special"]),
        assignments=_grouped(assignments, "contact_id", "organisation_id"),
        substitutions=standing_in,
        opened=_grouped(opened, "organisation_id"),
        users=users,
        notes=_grouped(notes, "contact_id", "organisation_id"),
        overdue={
            **_grouped(cast("list[Activity]", found["overdue"]), "organisation_id"),
            **_by_contact(cast("list[Activity]", found["overdue with contacts"])),
        },
        contracts=by_id(contracts),
        agreed=_agreed(contracts, following, on),
        projects=_grouped(cast("list[Link]", found["projects"]), "organisation_id"),
        orders=_grouped(cast("list[Order]", found["orders"]), "organisation_id"),
        unpaid=_grouped(cast("list[Invoice]", found["unpaid"]), "organisation_id"),
        expected=[row.key for row in found["expected"]],
        rules=_rules(view, found, notes, {note: told for note, row in about.items() if (told := _told(row, on))}, seen),
        deputies_see_private=view.work.policy.deputies_see_private,
        lead=view.work.lead,
        speaking={a.organisation_id or "" for a in assignments if a.covers_subsidiaries}
        | {note.organisation_id or "" for note in notes if note.for_subsidiaries},
    )


def _grouped(rows: Iterable[E], *fields: str) -> dict[str, list[E]]:
    """Arrange rows by the first of some fields that is given."""
    found: dict[str, list[E]] = defaultdict(list)
    for row in rows:
        found[next(filter(None, (getattr(row, field) for field in fields)), "")].append(row)
    return found


def _by_contact(activities: Iterable[Activity]) -> dict[str, list[Activity]]:
    found: dict[str, list[Activity]] = defaultdict(list)
    for activity in activities:
        for contact in activity.contact_ids:
            found[contact].append(activity)
    return found


def _agreed(contracts: Iterable[Contract], following: Iterable[Contract], on: date) -> dict[str, list[Standing]]:
    """Arrange by organisation the contracts that count, with what followed each; also what another account signed."""
    own = by_id(contracts)
    found, _ = standings(({**own, **by_id(following)}).values(), on=on)
    agreed: dict[str, list[Standing]] = defaultdict(list)
    for standing in found:
        if standing.known.id in own:
            agreed[standing.known.account].append(standing)
    return agreed


def _people(view: View, contacts: Collection[str]) -> tuple[list[Contact], list[Position]]:
    if not contacts:
        return [], []
    ids = one_of(tuple(contacts))
    people, positions = view.gather(view.query(Contact, id=ids), view.query(Position, contact_id=ids, order="id"))
    return cast("list[Contact]", people), cast("list[Position]", positions)


def _around(
    view: View, on: date, contacts: Collection[str], asked: Collection[str], family: Collection[str]
) -> dict[str, list[Entity]]:
    """Read in one round trip what hangs on the subjects, and what is configured."""
    near, kin, people = one_of(tuple(asked)), one_of(tuple(family)), one_of(tuple(contacts))
    queries: dict[str, Query] = {
        "assigned": view.query(Assignment, organisation_id=kin),
        "looked after": view.query(Assignment, contact_id=people),
        "notes": view.query(ServiceNote, organisation_id=kin),
        "notes on contacts": view.query(ServiceNote, contact_id=people),
        "special": view.query(
            Position, organisation_id=near, valid_from=at_most(on), valid_until=at_least(on), order="role"
        ),
        "overdue": view.query(
            Activity,
            organisation_id=near,
            open=True,
            follow_up_on=at_most(on - ONE_DAY),
            order="follow_up_on",
        ),
        "overdue with contacts": view.query(
            Activity,
            contact_ids=people,
            organisation_id=is_none,
            open=True,
            follow_up_on=at_most(on - ONE_DAY),
            order="follow_up_on",
        ),
        "contracts": view.query(Contract, organisation_id=near, order="id"),
        "projects": view.query(Link, organisation_id=near, kind="project", open=True, order="id"),
        "orders": view.query(Order, organisation_id=near, open=True, order="id"),
        "unpaid": view.query(
            Invoice,
            organisation_id=near,
            kind="invoice",
            due_on=at_most(on - ONE_DAY),
            settled_on=at_least(on + ONE_DAY),
            order=("due_on", "id"),
        ),
        "categories": view.query(NoteCategory),
        "contexts": view.query(Context),
        "expected": view.query(ExpectedProvider, order="id"),
        "standing in": view.query(Substitution, valid_from=at_most(on), valid_until=at_least(on)),
        "opened": view.query(BreakGlass, organisation_id=near, order="opens_at"),
    }
    return dict(zip(queries, view.gather(*queries.values()), strict=True))


def _named(
    view: View,
    user_ids: Sequence[str],
    special: Iterable[Position],
    notes: Iterable[ServiceNote],
    contracts: Iterable[Contract],
) -> tuple[
    Mapping[str, User], Mapping[str, Contact], Mapping[Reference, Entity], list[Acknowledgement], list[Contract]
]:
    """Read in one round trip the records that the others only name."""
    references = {note.about for note in notes if note.about is not None}
    kinds = sorted({reference.kind for reference in references} & set(KINDS))
    pointed = [view.where(KINDS[k].cls, {"id": one_of([r.id for r in references if r.kind == k])}) for k in kinds]
    me = view.reader.user.id if view.reader else None
    asking = [note.id for note in notes] if me else []
    users, people, seen, following, *about = view.gather(
        view.query(User, id=one_of(user_ids)),
        view.query(Contact, id=one_of(sorted({p.contact_id for p in special if p.role}))),
        view.query(Acknowledgement, note_id=one_of(asking), user_id=me),
        view.query(Contract, predecessor_ids=one_of([contract.id for contract in contracts])),
        *pointed,
    )
    told = {Reference(type(row).__name__, row.key): row for rows in about for row in rows}
    named = by_id(cast("list[User]", users)), by_id(cast("list[Contact]", people))
    return *named, told, cast("list[Acknowledgement]", seen), cast("list[Contract]", following)


def _rules(
    view: View,
    found: Mapping[str, list[Entity]],
    notes: Iterable[ServiceNote],
    about: Mapping[Reference, str],
    seen: Iterable[Acknowledgement],
) -> Rules:
    """Put together what is configured and what this user has seen."""
    shown = {note.id: says(note) for note in notes if note.dismissible}
    texts = {note.id: about[note.about] for note in notes if note.about is not None and note.about in about}
    return Rules(
        contexts=frozenset(row.key for row in found["contexts"]),
        categories=FrozenMap({row.id: row.contexts for row in cast("list[NoteCategory]", found["categories"])}),
        audience=frozenset(view.reader.units) if view.reader else None,
        dismissed=FrozenMap(
            {a.note_id: a.says for a in seen if a.dismissed and a.says and a.says == shown.get(a.note_id)}
        ),
        acknowledged=FrozenMap({a.note_id: a.says for a in seen if a.says}),
        about=FrozenMap(texts),
    )


def _told(row: Entity, on: date) -> str | None:
    """Return the text of a record that a note is about; None where it is closed."""
    kind = KINDS[type(row).__name__]
    if not kind.is_open(row, on):
        return None
    return kind.told(row)


def _ancestors(
    organisation: Organisation,
    organisations: Mapping[str, Organisation],
    speaking: AbstractSet[str],
    known: dict[str, tuple[Organisation, ...]],
) -> tuple[Organisation, ...]:
    """Return the ancestors that say something for their subsidiaries, nearest first; what was walked is remembered."""
    path: list[Organisation] = []
    at: Organisation | None = organisation
    while at is not None and at.id not in known:
        known[at.id] = ()  # a mark, so that damaged data with a cycle ends the walk
        path.append(at)
        at = organisations.get(at.parent_id or "")
    for one in reversed(path):
        parent = organisations.get(one.parent_id or "")
        above = known.get(parent.id, ()) if parent is not None else ()
        known[one.id] = (parent, *above) if parent is not None and parent.id in speaking else above
    return known[organisation.id]
