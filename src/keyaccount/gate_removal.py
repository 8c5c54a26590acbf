"""Removing a record: what hangs on it goes with it, other references to it are cleared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import attrs

from keyaccount.catalogue import KINDS, Kind, Link, referring
from keyaccount.errors import ValidationError
from keyaccount.gate import mind_managers, store
from keyaccount.gate_rights import authorise_removal
from keyaccount.model.activities import Activity
from keyaccount.model.contacts import Contact, Position
from keyaccount.model.entity import Entity, evolved
from keyaccount.model.notes import Context
from keyaccount.model.organogram import Unit, User
from keyaccount.model.rights import Grant, Principal
from keyaccount.queries import one_of
from keyaccount.storage import Change
from keyaccount.view import View


def remove(view: View, kind: Kind, id: str) -> None:
    """Remove a record with what hangs on it; other references to it are cleared.

    Needs `ADMINISTER`. A contact leaves the accounts that this desk sees; where it has positions elsewhere, it stays
    there. Raises NotFound, AccessDenied, and ValidationError for a context that has others below it.
    """
    if view.work.request is not None:
        view.work.request.remove(kind.name, id)
        if view.work.replays:
            return
    row = view.get(kind.cls, id)
    authorise_removal(view, kind, row)
    _check_below(view, row)
    doomed: list[Entity] = [row]
    if isinstance(row, Contact) and view.reader is not None:
        own = view.find(Position, contact_id=id)
        if len(view.trusted().find(Position, contact_id=id)) > len(own):
            _leave(view, id)
            doomed = [*own]
    _write_removal(view, doomed)


def _check_below(view: View, row: Entity) -> None:
    """Refuse to remove a context above others: what appears in it appears in them, and would not any more."""
    if isinstance(row, Context):
        below = next((other.id for other in view.find(Context) if other.id.startswith(f"{row.id}.")), None)
        if below is not None:
            raise ValidationError.of("Context", "id", row.id, f"has contexts below it, as {below!r}; remove them first")


def _leave(view: View, contact_id: str) -> None:
    """Take a contact out of the activities this desk sees; elsewhere it stays."""
    seen = [row.id for row in view.find(Activity, contact_ids=contact_id)]
    changes = []
    for row in view.trusted().find(Activity, id=one_of(seen)):
        others = tuple(id for id in row.contact_ids if id != contact_id)
        if row.organisation_id is not None or others:
            left = attrs.evolve(row, contact_ids=others, version=row.version + 1)
            changes.append(Change("Activity", row.id, row, left))
    store(view, changes)


def _write_removal(view: View, doomed: list[Entity]) -> None:
    """Remove records and, level by level, what goes with them; clear the references that stay."""
    raw = view.trusted()
    gone: dict[tuple[str, str], Entity] = {}
    cleared: dict[tuple[str, str], tuple[Entity, Entity]] = {}
    mind_managers(view, [(row, None) for row in doomed])
    while doomed:
        gone |= {(type(row).__name__, row.key): row for row in doomed}
        level, doomed = doomed, []
        for kind, link, row in _referring(raw, level):
            name = (kind.name, row.key)
            old, current = cleared.get(name, (row, row))
            after = None if link.gone == "remove" else _cleared(link, current, gone)
            if after is None:
                doomed.append(row)
            else:
                cleared[name] = (old, after)
        doomed = [row for row in by_id_and_kind(doomed) if (type(row).__name__, row.key) not in gone]
    for contact in raw.find(Contact, id=one_of(_left_contacts(raw, gone))):
        old, current = cleared.get(("Contact", contact.id), (contact, contact))
        cleared["Contact", contact.id] = (old, evolved(current, {"formerly_held": True}))
    changes = [Change(kind, id, row, None) for (kind, id), row in gone.items()]
    for name, (old, after) in cleared.items():
        if name not in gone:
            changes.append(Change(*name, old, attrs.evolve(after, version=old.version + 1)))
    store(view, changes)


def by_id_and_kind(rows: Iterable[Entity]) -> Iterable[Entity]:
    """Return each record once."""
    return {(type(row).__name__, row.key): row for row in rows}.values()


def _left_contacts(raw: View, gone: dict[tuple[str, str], Entity]) -> list[str]:
    """Return the contacts that lose their last position: they must not fall back to who once entered them."""
    left = {row.contact_id for row in gone.values() if isinstance(row, Position)}
    staying = raw.find(Position, contact_id=one_of(sorted(left))) if left else []
    held = {row.contact_id for row in staying if ("Position", row.id) not in gone}
    return sorted(id for id in left - held if ("Contact", id) not in gone)


def _referring(raw: View, level: Sequence[Entity]) -> Iterator[tuple[Kind, Link, Entity]]:
    """Yield the records that refer to any of these, and by which field."""
    ids: dict[str, list[str]] = defaultdict(list)
    for row in level:
        ids[type(row).__name__].append(row.key)
    asked = [(kind, link, one_of(ids[name])) for name in ids for kind, link in referring(name) if link.gone != "keep"]
    answers = raw.gather(*(raw.where(kind.cls, {link.field: test}) for kind, link, test in asked))
    for (kind, link, _), rows in zip(asked, answers, strict=True):
        yield from ((kind, link, row) for row in rows)
    contexts = [row.id for row in level if isinstance(row, Context)]
    for name in ("ServiceNote", "NoteCategory") if contexts else ():
        # a note that names only a context that is gone would appear nowhere: without any it appears everywhere
        for row in raw.find(KINDS[name].cls, contexts=one_of(contexts)):
            yield KINDS[name], Link("contexts", "Context", many=True, gone="clear"), row
    principals = [Principal(type(row).__name__.lower(), row.key) for row in level if isinstance(row, (User, Unit))]
    for grant in raw.find(Grant, principal=one_of(principals)) if principals else ():
        yield KINDS["Grant"], Link("principal", "User", many=False, gone="remove"), grant


def _cleared(link: Link, row: Entity, gone: dict[tuple[str, str], Entity]) -> Entity | None:
    """Return a record without its references to what goes; None where it says nothing without them."""
    value = getattr(row, link.field)
    kept = tuple(id for id in value if (link.kind, id) not in gone) if link.many else None
    try:
        return evolved(row, {link.field: kept})
    except ValidationError:
        return None
