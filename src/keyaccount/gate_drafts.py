"""Records on their way in: what was given beside what is stored, and what of it this desk sees."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, cast

import attrs

from keyaccount.catalogue import KINDS, Kind, kind_of
from keyaccount.errors import ConflictError, NotFound, ValidationError, shown
from keyaccount.model.entity import Entity, at_version, evolved
from keyaccount.model.notes import Context, lineage
from keyaccount.model.organisations import Organisation
from keyaccount.model.rights import KEY_ACCOUNT_MANAGER, Assignment
from keyaccount.queries import one_of
from keyaccount.values import new_id
from keyaccount.view import View, by_id


@attrs.frozen
class Draft:
    """One record on its way in: what was given, what is stored, what of it this desk sees, and what will be stored."""

    kind: Kind
    given: Entity
    stored: Entity | None
    seen: Entity | None
    after: Entity

    @property
    def creates(self) -> bool:
        """Whether there was nothing before."""
        return self.stored is None

    @property
    def changed(self) -> frozenset[str]:
        """The fields that will hold something else, or were given so as the desk sees them; all of a new record."""
        if self.stored is None or self.seen is None:
            return frozenset(self.kind.shapes)
        fields = {field for field in self.kind.shapes if getattr(self.after, field) != getattr(self.stored, field)}
        given = {
            link.field
            for link in self.kind.links
            if link.field not in dict(self.kind.stamped)
            and getattr(self.given, link.field) != getattr(self.seen, link.field)
        }
        return frozenset(fields | given)


def checked(entities: Iterable[object]) -> list[Entity]:
    """Take entities of known kinds, each record once."""
    found: dict[tuple[str, str], Entity] = {}
    for entity in entities:
        kind = kind_of(type(entity))
        row = cast("Entity", entity)
        if (kind.name, row.key) in found and found[kind.name, row.key] != row:
            raise ValidationError.of(f"{kind.name} {shown(row.key)}", "id", row.key, "is given twice in one call")
        found[kind.name, row.key] = row
    return list(found.values())


def with_contexts(entities: list[Entity]) -> list[Entity]:
    """Add the contexts above a context that is registered."""
    given = {row.key for row in entities if isinstance(row, Context)}
    wanted = {path: None for row in entities if isinstance(row, Context) for path in lineage(row.key)}
    return [*entities, *(Context(path) for path in wanted if path not in given)]


def drafts_of(view: View, entities: Sequence[Entity]) -> list[Draft]:
    """Compare what is given with what is stored, for all records at once."""
    ids: dict[Kind, list[str]] = defaultdict(list)
    for row in entities:
        ids[kind_of(type(row))].append(row.key)
    raw = view.trusted()
    queries = [source.query(kind.cls, id=one_of(wanted)) for source in (raw, view) for kind, wanted in ids.items()]
    answers = iter(view.gather(*queries))
    stored, seen = ({kind: by_id(next(answers)) for kind in ids} for _ in range(2))
    return [
        _draft(view, kind, row, stored[kind].get(row.key), seen[kind].get(row.key))
        for row in entities
        for kind in (kind_of(type(row)),)
    ]


def _draft(view: View, kind: Kind, given: Entity, stored: Entity | None, seen: Entity | None) -> Draft:
    if given.version == 0:
        if stored is None:
            return Draft(kind, given, None, None, at_version(_stamped(view, kind, given, None), 1))
        same = seen is not None and _stamped(view, kind, given, seen) == attrs.evolve(seen, version=0)
        if seen is None or not same:
            raise ConflictError(kind.name, given.key, 0 if seen else None, seen.version if seen else None)
        return Draft(kind, given, stored, seen, stored)
    if stored is None or seen is None:
        raise NotFound(kind.name, given.key)
    if given.version != stored.version:
        raise ConflictError(kind.name, given.key, given.version, stored.version)
    patched = _patched(kind, _stamped(view, kind, given, stored), stored, seen)
    if patched != stored:
        patched = evolved(patched, {field: view.now for field, what in kind.stamped if what == "each time"})
    return Draft(
        kind, given, stored, seen, patched if patched == stored else attrs.evolve(patched, version=stored.version + 1)
    )


def _stamped(view: View, kind: Kind, given: Entity, stored: Entity | None) -> Entity:
    """Set who and when: on a bound desk always, on a trusted one where nothing is given."""
    changes: dict[str, Any] = {}
    for field, what in kind.stamped:
        value = getattr(given, field)
        if what == "kept":
            if view.reader is not None:
                changes[field] = getattr(stored, field) if stored is not None else False
            continue
        free = view.reader is None or what.endswith("?")
        if stored is not None:
            if not free or value is None:
                changes[field] = getattr(stored, field)
        elif value is None or not free:
            who = view.reader.user.id if view.reader is not None else value
            changes[field] = who if what.startswith("who") else view.now
    return evolved(given, changes)


def _patched(kind: Kind, given: Entity, stored: Entity, seen: Entity) -> Entity:
    """Keep the stored value of what was masked and is handed back as it was shown; of a list, the items that were."""
    changes: dict[str, Any] = {}
    for link in kind.links:
        kept, shown_value, new = (getattr(row, link.field) for row in (stored, seen, given))
        if kept == shown_value:
            continue
        if new == shown_value:
            changes[link.field] = kept
        elif link.many:
            changes[link.field] = (*new, *(id for id in kept if id not in shown_value and id not in new))
    return evolved(given, changes)


def managers_for(view: View, drafts: Sequence[Draft]) -> list[Draft]:
    """Make the creator of an organisation its key account manager, unless the same call names one."""
    if view.reader is None:
        return []
    named = {
        d.after.organisation_id
        for d in drafts
        if isinstance(d.after, Assignment) and d.after.role == KEY_ACCOUNT_MANAGER
    }
    kind = KINDS["Assignment"]
    made = [
        Assignment(new_id(), view.reader.user.id, d.after.key, valid_from=view.today, version=1)
        for d in drafts
        if isinstance(d.after, Organisation) and d.creates and d.after.key not in named
    ]
    return [Draft(kind, row, None, None, row) for row in made]


def results(view: View, wanted: Sequence[Draft], drafts: Sequence[Draft]) -> tuple[Entity, ...]:
    """Read back what was written, as this view sees it."""
    if view.reader is None:
        return tuple(draft.after for draft in wanted)
    ids: dict[Kind, list[str]] = defaultdict(list)
    for draft in drafts:
        ids[draft.kind].append(draft.given.key)
    answers = view.gather(*(view.query(kind.cls, id=one_of(keys)) for kind, keys in ids.items()))
    found = {kind: by_id(rows) for kind, rows in zip(ids, answers, strict=True)}
    return tuple(
        found[draft.kind].get(draft.given.key, attrs.evolve(draft.given, version=draft.after.version))
        for draft in wanted
    )
