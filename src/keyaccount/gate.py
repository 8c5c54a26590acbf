"""The one write gate: every change of a desk is authorised and checked here, then written, or nothing is.

A put is a patch against what this desk could read at that version. All problems are found first and raised as one
error; the storage is touched last.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

import attrs

from keyaccount import access
from keyaccount.catalogue import KINDS, Kind, Link, kind_of, referring
from keyaccount.errors import AccessDenied, ConflictError, NotFound, Problem, ValidationError, article, refusal, shown
from keyaccount.gate_checks import problems_of
from keyaccount.model.activities import Activity
from keyaccount.model.contacts import Contact, Position
from keyaccount.model.entity import Entity, at_version, evolved
from keyaccount.model.notes import Context, Reference, lineage
from keyaccount.model.organisations import Organisation
from keyaccount.model.organogram import Unit, User
from keyaccount.model.rights import KEY_ACCOUNT_MANAGER, Assignment, Grant, Principal, Right, Substitution
from keyaccount.queries import one_of
from keyaccount.storage import Change
from keyaccount.values import new_id
from keyaccount.view import View, by_id

Later = dict[tuple[str, str], list[tuple[Problem, Entity]]]
"""References to records that are not there yet: what refers to each, and the problem if it never comes."""

_UNMANAGED = "a private account needs a key account manager in force; assign one in the same transaction"


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


def put(view: View, entities: Iterable[object], *, later: Later | None = None) -> tuple[Entity, ...]:
    """Create or patch records, all or none, and return them as the view sees them, in the order given.

    Version 0 creates; equal content that is already there changes nothing. `later` collects references to records that
    are not there yet instead of refusing them, for a stream whose end is not known.

    Raises ValidationError (all problems at once), NotFound, ConflictError, AccessDenied.
    """
    asked = tuple(entities)
    given = _with_contexts(_checked(asked))
    if view.work.request is not None:
        for row in given:
            view.work.request.put(row)
        if view.work.replays:
            return _replayed(view, cast("tuple[Entity, ...]", asked))
    drafts = _drafts(view, given)
    written = [draft for draft in drafts if draft.creates or draft.after != draft.stored]
    if view.reader is not None and (problems := list(_dangling(view, drafts, None))):
        # also where a masked reference was guessed and nothing changes: a wrong guess is refused for want of the right
        _authorise(view, [draft for draft in drafts if draft.creates or draft.changed])
        raise ValidationError(problems)
    if written:
        managers = _managers(view, written)
        every = [*written, *managers]
        _authorise(view, every)
        pairs = [(draft.stored, draft.after) for draft in every]
        problems = [*(_dangling(view, every, later) if view.reader is None else ()), *problems_of(view, pairs)]
        if problems:
            raise refusal(problems)
        _write(view, every)
    by_name = {(draft.kind.name, draft.given.key): draft for draft in drafts}
    return _results(view, [by_name[type(row).__name__, cast("Entity", row).key] for row in asked], drafts)


def restore(view: View, kind: Kind, rows: Sequence[Entity], later: Later) -> int:
    """Write records of a dump as they were, with their versions; return how many were there already.

    For trusted desks. Raises ConflictError where another record has the id, ValidationError.
    """
    if view.work.request is not None:
        for row in rows:
            view.work.request.put(row)
        if view.work.replays:
            return len(rows)
    stored = by_id(view.find(kind.cls, id=one_of([row.key for row in rows]))) if rows else {}
    fresh: dict[str, Entity] = {}
    for row in rows:
        before = fresh.get(row.key, stored.get(row.key))
        if before is None:
            fresh[row.key] = row if row.version else at_version(row, 1)
        elif at_version(row, before.version) != before:
            raise ConflictError(kind.name, row.key, 0, before.version)
    drafts = [Draft(kind, row, None, None, row) for row in fresh.values()]
    problems = [*_dangling(view, drafts, later), *problems_of(view, [(None, row) for row in fresh.values()])]
    if problems:
        raise refusal(problems)
    if fresh:
        view.work.unit.write(view.work.act, [Change(kind.name, row.key, None, row) for row in fresh.values()])
    return len(rows) - len(fresh)


def clear_furniture(view: View, kind: Kind, rows: Iterable[Entity]) -> None:
    """Take out of a new book what it shipped with and these records do not have, or have otherwise."""
    wanted = by_id(rows)
    stale = [
        row
        for row in view.find(kind.cls)
        if row.key not in wanted or attrs.evolve(wanted[row.key], version=row.version) != row
    ]
    if stale:
        view.work.unit.write(view.work.act, [Change(kind.name, row.key, row, None) for row in stale])


def resolve(view: View, later: Later) -> None:
    """Refuse a stream whose references lead to records that never came, or to the wrong ones."""
    missing: list[Problem] = []
    for kind in {kind for kind, _ in later}:
        ids = [id for name, id in later if name == kind]
        there = view.readable(KINDS[kind].cls, ids)
        missing += [problem for id in ids if id not in there for problem, _ in later[kind, id]]
    rows = {(type(row).__name__, row.key): row for some in later.values() for _, row in some}
    missing += problems_of(view, [(row, row) for row in rows.values()])
    if missing:
        raise refusal(missing)


def remove(view: View, kind: Kind, id: str) -> None:
    """Remove a record with what hangs on it; other references to it are cleared.

    Needs `ADMINISTER`. A contact leaves the accounts that this desk sees; where it has positions elsewhere, it stays
    there. Raises NotFound, AccessDenied.
    """
    if view.work.request is not None:
        view.work.request.remove(kind.name, id)
        if view.work.replays:
            return
    row = view.get(kind.cls, id)
    _authorise_removal(view, kind, row)
    doomed: list[Entity] = [row]
    if isinstance(row, Contact) and view.reader is not None:
        own = view.find(Position, contact_id=id)
        if len(view.trusted().find(Position, contact_id=id)) > len(own):
            _leave(view, id)
            doomed = [*own]
    _write_removal(view, doomed)


def _leave(view: View, contact_id: str) -> None:
    """Take a contact out of the activities this desk sees; elsewhere it stays."""
    seen = [row.id for row in view.find(Activity, contact_ids=contact_id)]
    changes = []
    for row in view.trusted().find(Activity, id=one_of(seen)):
        others = tuple(id for id in row.contact_ids if id != contact_id)
        if row.organisation_id is not None or others:
            left = attrs.evolve(row, contact_ids=others, version=row.version + 1)
            changes.append(Change("Activity", row.id, row, left))
    view.work.unit.write(view.work.act, changes)


def apply(view: View, changes: Sequence[Change], *, moves: bool = False) -> None:
    """Write changes that were authorised as a whole (a merge, an undo), after the same checks as a put.

    `moves` lets records change what they hang on for good.
    """
    pairs = [(change.before, change.after) for change in changes if change.after is not None]
    gone = {(change.kind, change.id) for change in changes if change.after is None}
    problems = list(problems_of(view, pairs, moves=moves, gone=gone))
    if problems:
        raise refusal(problems)
    _mind_managers(view, [(change.before, change.after) for change in changes])
    for change in changes:
        shielded = isinstance(change.before, Organisation) and change.before.private
        if isinstance(change.after, Organisation) and change.after.private and not shielded:
            view.work.to_manage.setdefault(change.id, _UNMANAGED)
    view.work.unit.write(view.work.act, changes)


def need(view: View, kind: str, ids: Iterable[str], right: Right, what: str) -> None:
    """Refuse a bound desk that does not hold a right on these accounts or contacts."""
    if view.reader is not None:
        _hold(view, [Need(kind, id, right, what) for id in ids])


def _replayed(view: View, asked: tuple[Entity, ...]) -> tuple[Entity, ...]:
    """Return what is stored now of what was put the first time."""
    ids: dict[Kind, list[str]] = defaultdict(list)
    for row in asked:
        ids[kind_of(type(row))].append(row.key)
    answers = view.gather(*(view.query(kind.cls, id=one_of(keys)) for kind, keys in ids.items()))
    found = {(type(row).__name__, row.key): row for rows in answers for row in rows}
    return tuple(found.get((type(row).__name__, row.key), row) for row in asked)


# ---- drafting --------------------------------------------------------------------------------------------


def _checked(entities: Iterable[object]) -> list[Entity]:
    """Take entities of known kinds, each record once."""
    found: dict[tuple[str, str], Entity] = {}
    for entity in entities:
        kind = kind_of(type(entity))
        row = cast("Entity", entity)
        if (kind.name, row.key) in found and found[kind.name, row.key] != row:
            raise ValidationError.of(f"{kind.name} {shown(row.key)}", "id", row.key, "is given twice in one call")
        found[kind.name, row.key] = row
    return list(found.values())


def _with_contexts(entities: list[Entity]) -> list[Entity]:
    """Add the contexts above a context that is registered."""
    given = {row.key for row in entities if isinstance(row, Context)}
    wanted = {path: None for row in entities if isinstance(row, Context) for path in lineage(row.key)}
    return [*entities, *(Context(path) for path in wanted if path not in given)]


def _drafts(view: View, entities: Sequence[Entity]) -> list[Draft]:
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


def _managers(view: View, drafts: Sequence[Draft]) -> list[Draft]:
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


def _results(view: View, wanted: Sequence[Draft], drafts: Sequence[Draft]) -> tuple[Entity, ...]:
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


# ---- authorising -----------------------------------------------------------------------------------------


@attrs.frozen
class Need:
    """A right that a change needs on one record, and the words for its refusal."""

    kind: str
    id: str
    right: Right
    what: str


def _authorise(view: View, drafts: Sequence[Draft]) -> None:
    """Refuse a bound desk what it has no right to; records it may not read at all are dealt with as missing ones."""
    if view.reader is None:
        return
    created = {(d.kind.name, d.after.key) for d in drafts if d.creates}
    for draft in drafts:
        _authorise_kind(view, draft)
    needs = [need for draft in drafts for need in _needs(draft) if (need.kind, need.id) not in created]
    _hold(view, needs)
    _authorise_covering(view, drafts)


def _authorise_kind(view: View, draft: Draft) -> None:
    reader = view.reader
    if reader is None:
        return
    if draft.kind.by_call is not None:
        raise AccessDenied(f"{article(draft.kind.name)} is written by {draft.kind.by_call} only")
    if reader.steward:
        _authorise_steward(reader, draft)
        if draft.kind.write is None:
            return
    if draft.kind.own is not None and draft.kind.write is not None and not _owns(reader, draft):
        raise AccessDenied(f"{article(draft.kind.name)} is written by its own user only")
    if draft.kind.write is None and not _owns(reader, draft):
        raise AccessDenied(f"{article(draft.kind.name)} is written by trusted desks and stewards only")
    if draft.creates and draft.kind.reach == "account" and not reader.policy.may_create:
        raise AccessDenied(f"creating {article(draft.kind.name)} is for trusted desks and stewards here")


def _authorise_steward(reader: access.Reader, draft: Draft) -> None:
    """Let no steward past the glass: where deputies see private accounts, stewards do not name deputies."""
    if isinstance(draft.after, Substitution) and reader.policy.deputies_see_private and not _owns(reader, draft):
        raise AccessDenied("a Substitution is written by the absent user and trusted desks only")


def _owns(reader: access.Reader, draft: Draft) -> bool:
    """Say whether a record is the reader's own, before and after."""
    own = draft.kind.own
    rows = [row for row in (draft.stored, draft.after) if row is not None]
    return own is not None and all(getattr(row, own) == reader.user.id for row in rows)


def _needs(draft: Draft) -> Iterator[Need]:
    """Yield the rights a change needs: where the record hangs, before and after, and for its parent and privacy."""
    kind, write = draft.kind, draft.kind.write
    if write is None:
        return
    what = f"{'creating' if draft.creates else 'changing'} {article(kind.name)}"
    if kind.reach in ("account", "contact"):
        if not draft.creates:
            guarded = {"private", "parent_id"} & draft.changed
            yield Need(kind.name, draft.after.key, Right.ADMINISTER if guarded else write, what)
        if isinstance(draft.after, Organisation) and "parent_id" in draft.changed:
            yield from _parent_needs(draft)
        return
    for row in (draft.seen, draft.after):
        for target, id in _home(kind, row):
            yield Need(target, id, write, what)
    if isinstance(draft.after, Position) and draft.creates:
        yield Need("Contact", draft.after.contact_id, Right.CHANGE, "giving a position")


def _parent_needs(draft: Draft) -> Iterator[Need]:
    for row in (draft.seen, draft.after):
        parent = row.parent_id if isinstance(row, Organisation) else None
        if parent is not None:
            yield Need("Organisation", parent, Right.ADMINISTER, "changing a parent")


def _home(kind: Kind, row: Entity | None) -> Iterator[tuple[str, str]]:
    """Yield where the right to write a record is held: the first home that it names, else all of the others."""
    if row is None:
        return
    for field in kind.home:
        link = kind.link(field)
        if link is not None and (id := getattr(row, field)) is not None:
            yield link.kind, id
            return
    if kind.else_any is not None and (link := kind.link(kind.else_any)) is not None:
        yield from ((link.kind, id) for id in getattr(row, kind.else_any))


def _hold(view: View, needs: Sequence[Need]) -> None:
    """Check rights, one query for each kind and right; name the first that is missing on something readable."""
    groups: dict[tuple[str, Right], set[str]] = defaultdict(set)
    for need in needs:
        groups[need.kind, need.right].add(need.id)
        groups[need.kind, Right.READ].add(need.id)
    queries = [
        view.query(KINDS[kind].cls, id=one_of(sorted(ids)), holding=right) for (kind, right), ids in groups.items()
    ]
    found = {group: {row.key for row in rows} for group, rows in zip(groups, view.gather(*queries), strict=True)}
    for need in needs:
        if need.id in found[need.kind, Right.READ] and need.id not in found[need.kind, need.right]:
            raise AccessDenied(f"{need.what} needs {need.right.name} on {need.kind} {shown(need.id)}")


def _authorise_covering(view: View, drafts: Sequence[Draft]) -> None:
    """Let nobody give over subsidiaries what they do not hold over them, on an organisation of their own making too."""
    for draft in drafts:
        account = getattr(draft.after, "organisation_id", None)
        if account is None or not getattr(draft.after, "covers_subsidiaries", False) or _only_ends(draft):
            continue
        held = view.decide(account, Right.ADMINISTER).reasons if view.readable(Organisation, [account]) else ()
        if not any(r.right is Right.ADMINISTER and (r.covers_subsidiaries or r.kind == "steward") for r in held):
            raise AccessDenied(f"covering the subsidiaries of Organisation {shown(account)} needs ADMINISTER over them")


def _only_ends(draft: Draft) -> bool:
    """Say whether a change to a dated record does nothing but end it earlier."""
    before, after = (getattr(row, "valid_until", None) for row in (draft.stored, draft.after))
    earlier = before == after or (after is not None and (before is None or after < before))
    return earlier and not draft.creates and draft.changed <= {"valid_until", "version", "label", "refs", "extra"}


def _authorise_removal(view: View, kind: Kind, row: Entity) -> None:
    reader = view.reader
    if reader is None:
        return
    what = f"removing {article(kind.name)}"
    if kind.write is None:
        draft = Draft(kind, row, row, row, row)
        if kind.by_call is not None or not (reader.steward or _owns(reader, draft)):
            raise AccessDenied(f"{what} is for trusted desks and stewards only")
        _authorise_steward(reader, draft)
    elif kind.reach in ("account", "contact"):
        _hold(view, [Need(kind.name, row.key, Right.ADMINISTER, what)])
    elif kind.reach == "hangs":
        home = [Need(target, id, Right.ADMINISTER, what) for target, id in _account_of(view, kind, row)]
        _hold(view, home)


def _account_of(view: View, kind: Kind, row: Entity) -> Iterator[tuple[str, str]]:
    """Follow a record's homes up to the accounts or contacts it belongs to."""
    for target, id in _home(kind, row):
        if KINDS[target].reach == "hangs":
            yield from _account_of(view, KINDS[target], view.get(KINDS[target].cls, id))
        else:
            yield target, id


# ---- references ------------------------------------------------------------------------------------------


def _dangling(view: View, drafts: Sequence[Draft], later: Later | None) -> Iterator[Problem]:
    """Yield a problem for every newly written reference to a record that is not there, or that cannot be read."""
    given = {(draft.kind.name, draft.after.key) for draft in drafts}
    wanted: dict[str, set[str]] = defaultdict(set)
    for draft in drafts:
        for _, target, id in _references(draft):
            if (target, id) not in given and target in KINDS:
                wanted[target].add(id)
    queries = [view.query(KINDS[target].cls, id=one_of(sorted(ids))) for target, ids in wanted.items()]
    found = {target: {row.key for row in rows} for target, rows in zip(wanted, view.gather(*queries), strict=True)}
    for draft in drafts:
        for field, target, id in _references(draft):
            if (target, id) in given or id in found.get(target, ()):
                continue
            entity = f"{draft.kind.name} {shown(draft.after.key)}"
            problem = Problem(entity, field, shown(id), f"there is no such {target} that you can read")
            if later is None:
                yield problem
            else:
                later.setdefault((target, id), []).append((problem, draft.after))


def _references(draft: Draft) -> Iterator[tuple[str, str, str]]:
    """Yield the references that are given anew, as far as the desk can see: field, kind, id."""
    for link in draft.kind.links:
        value, before = (getattr(row, link.field) if row is not None else None for row in (draft.given, draft.seen))
        if link.field in dict(draft.kind.stamped):
            continue
        if link.many:
            yield from ((link.field, link.kind, id) for id in value or () if id not in (before or ()))
        elif value is not None and value != before:
            yield link.field, link.kind, value
    if "about" in draft.changed and isinstance(about := getattr(draft.after, "about", None), Reference):
        yield "about", about.kind, about.id
    if (
        "principal" in draft.changed
        and (principal := getattr(draft.after, "principal", None)) is not None
        and principal.id
    ):
        yield "principal", principal.kind.title(), principal.id


# ---- writing ---------------------------------------------------------------------------------------------


def _write(view: View, drafts: Sequence[Draft]) -> None:
    for draft in drafts:
        if isinstance(draft.after, Organisation) and draft.after.private and "private" in draft.changed:
            view.work.to_manage[draft.after.key] = _UNMANAGED
    _mind_managers(view, [(draft.stored, draft.after) for draft in drafts])
    view.work.unit.write(
        view.work.act, [Change(draft.kind.name, draft.after.key, draft.stored, draft.after) for draft in drafts]
    )


def _mind_managers(view: View, pairs: Iterable[tuple[Entity | None, Entity | None]]) -> None:
    """Remember the accounts that lose a manager, to check at the end that no private one is left without."""
    before = [old for old, new in pairs if isinstance(old, Assignment) and old != new]
    for account in view.managed(before):
        view.work.to_manage.setdefault(account, _UNMANAGED)


def _write_removal(view: View, doomed: list[Entity]) -> None:
    """Remove records and, level by level, what goes with them; clear the references that stay."""
    raw = view.trusted()
    gone: dict[tuple[str, str], Entity] = {}
    cleared: dict[tuple[str, str], tuple[Entity, Entity]] = {}
    _mind_managers(view, [(row, None) for row in doomed])
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
    view.work.unit.write(view.work.act, changes)


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
