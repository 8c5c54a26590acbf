"""The one write gate: every change of a desk is authorised and checked here, then written, or nothing is.

A put is a patch against what this desk could read at that version. All problems are found first and raised as one
error; the storage is touched last.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import cast

import attrs

from keyaccount.catalogue import KINDS, Kind
from keyaccount.errors import ConflictError, Problem, ValidationError, refusal, shown
from keyaccount.gate_checks import problems_of
from keyaccount.gate_drafts import Draft, checked, drafts_of, managers_for, results, with_contexts
from keyaccount.gate_rights import authorise
from keyaccount.model.entity import Entity, at_version
from keyaccount.model.notes import Reference
from keyaccount.model.organisations import Organisation
from keyaccount.model.rights import Assignment
from keyaccount.queries import one_of
from keyaccount.replays import replayed
from keyaccount.storage import Change
from keyaccount.view import View, by_id

Later = dict[tuple[str, str], list[tuple[Problem, Entity]]]
"""References to records that are not there yet: what refers to each, and the problem if it never comes."""

UNMANAGED = "a private account needs a key account manager in force; assign one in the same transaction"


def put(view: View, entities: Iterable[object], *, later: Later | None = None) -> tuple[Entity, ...]:
    """Create or patch records, all or none, and return them as the view sees them, in the order given.

    Version 0 creates; equal content that is already there changes nothing. `later` collects references to records that
    are not there yet instead of refusing them, for a stream whose end is not known.

    Raises ValidationError (all problems at once), NotFound, ConflictError, AccessDenied.
    """
    asked = tuple(entities)
    given = with_contexts(checked(asked))
    if view.work.request is not None:
        for row in given:
            view.work.request.put(row)
        if view.work.replays:
            return replayed(view, view.work.request, cast("tuple[Entity, ...]", asked))
    drafts = drafts_of(view, given)
    written = [draft for draft in drafts if draft.creates or draft.after != draft.stored]
    if view.reader is not None and (problems := list(_dangling(view, drafts, None))):
        # also where a masked reference was guessed and nothing changes: a wrong guess is refused for want of the right
        authorise(view, [draft for draft in drafts if draft.creates or draft.changed])
        raise ValidationError(problems)
    if written:
        managers = managers_for(view, written)
        every = [*written, *managers]
        authorise(view, every)
        pairs = [(draft.stored, draft.after) for draft in every]
        problems = [*(_dangling(view, every, later) if view.reader is None else ()), *problems_of(view, pairs)]
        if problems:
            raise refusal(problems)
        _write(view, every)
    by_name = {(draft.kind.name, draft.given.key): draft for draft in drafts}
    return results(view, [by_name[type(row).__name__, cast("Entity", row).key] for row in asked], drafts)


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
        store(view, [Change(kind.name, row.key, None, row) for row in fresh.values()])
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
        store(view, [Change(kind.name, row.key, row, None) for row in stale])


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


def apply(view: View, changes: Sequence[Change], *, moves: bool = False) -> None:
    """Write changes that were authorised as a whole (a merge, an undo), after the same checks as a put.

    `moves` lets records change what they hang on for good.
    """
    pairs = [(change.before, change.after) for change in changes if change.after is not None]
    gone = {(change.kind, change.id) for change in changes if change.after is None}
    problems = list(problems_of(view, pairs, moves=moves, gone=gone))
    if problems:
        raise refusal(problems)
    mind_managers(view, [(change.before, change.after) for change in changes])
    for change in changes:
        shielded = isinstance(change.before, Organisation) and change.before.private
        if isinstance(change.after, Organisation) and change.after.private and not shielded:
            view.work.to_manage.setdefault(change.id, UNMANAGED)
    store(view, changes)


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
            view.work.to_manage[draft.after.key] = UNMANAGED
    mind_managers(view, [(draft.stored, draft.after) for draft in drafts])
    store(view, [Change(draft.kind.name, draft.after.key, draft.stored, draft.after) for draft in drafts])


def store(view: View, changes: Sequence[Change]) -> None:
    """Hand changes to the storage: they were authorised and checked."""
    view.work.unit.write(view.work.act, changes)


def mind_managers(view: View, pairs: Iterable[tuple[Entity | None, Entity | None]]) -> None:
    """Remember the accounts that lose a manager, to check at the end that no private one is left without."""
    before = [old for old, new in pairs if isinstance(old, Assignment) and old != new]
    for account in view.managed(before):
        view.work.to_manage.setdefault(account, UNMANAGED)
