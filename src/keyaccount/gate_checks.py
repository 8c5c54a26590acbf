"""What must hold between records, checked before anything is written; each check looks at a whole call at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, cast

from keyaccount.catalogue import KINDS, Kind, kind_of
from keyaccount.errors import ConflictError, Problem, nearest, shown, unknown_context
from keyaccount.model.contacts import ContactRole, Position
from keyaccount.model.entity import Entity
from keyaccount.model.notes import Context, NoteCategory, ServiceNote
from keyaccount.model.rights import Assignment
from keyaccount.queries import above, one_of
from keyaccount.spans import overlap
from keyaccount.view import View

Pair = tuple[Entity | None, Entity]
"""A record before (None: new) and after."""


def problems_of(
    view: View, pairs: Sequence[Pair], *, moves: bool = False, gone: AbstractSet[tuple[str, str]] = frozenset()
) -> Iterator[Problem]:
    """Yield everything that is wrong with a set of changes taken together.

    Raises ConflictError where an external reference is taken.
    """
    _free_references(view, pairs, gone)
    yield from _known_contexts(view, pairs)
    if not moves:
        yield from _fixed_fields(pairs)
    yield from _mapped_roles(view, pairs)
    yield from _closing_subjects(pairs)
    for kind in KINDS.values():
        if kind.up is not None:
            yield from _forest(view, kind, pairs)
    yield from _one_organisation(view, pairs)
    yield from _single_holders(view, pairs)
    yield from _made_single(view, pairs)


def _problem(row: Entity, field: str, reason: str) -> Problem:
    return Problem(f"{type(row).__name__} {shown(row.key)}", field, shown(getattr(row, field)), reason)


def _known_contexts(view: View, pairs: Sequence[Pair]) -> Iterator[Problem]:
    wanted = [
        (row, path)
        for old, row in pairs
        if isinstance(row, (ServiceNote, NoteCategory))
        for path in dict.fromkeys(row.contexts)
        if path not in getattr(old, "contexts", ())
    ]
    known = {row.key for _, row in pairs if isinstance(row, Context)}
    known |= {context.id for context in view.find(Context)} if wanted else set()
    for row, path in wanted:
        if path not in known:
            yield unknown_context(f"{type(row).__name__} {shown(row.key)}", "contexts", path, known)


def _free_references(view: View, pairs: Sequence[Pair], gone: AbstractSet[tuple[str, str]]) -> None:
    """External references are unique for each system and kind, whoever can read them."""
    for kind in {kind_of(type(row)): None for _, row in pairs}:
        rows = [row for _, row in pairs if type(row) is kind.cls and row.refs]
        owners: dict[tuple[str, str], set[str]] = defaultdict(set)
        tests = [{system: ref} for row in rows for system, ref in row.refs.items()]
        taken = view.trusted().find(kind.cls, refs=one_of(tests)) if tests else []
        changed = {row.key for _, row in pairs if type(row) is kind.cls}
        changed |= {id for name, id in gone if name == kind.name}
        for row in [*(row for row in taken if row.key not in changed), *rows]:
            for pair in row.refs.items():
                owners[pair].add(row.key)
        for row in rows:
            if any(len(owners[pair]) > 1 for pair in row.refs.items()):
                raise ConflictError(kind.name, row.key)


def _fixed_fields(pairs: Sequence[Pair]) -> Iterator[Problem]:
    for old, new in pairs:
        for field in kind_of(type(new)).fixed if old is not None else ():
            if getattr(old, field) != getattr(new, field):
                yield _problem(new, field, f"never changes; end this {type(new).__name__} and make another")


def _mapped_roles(view: View, pairs: Sequence[Pair]) -> Iterator[Problem]:
    roles = view.work.policy.roles
    for old, new in pairs:
        if isinstance(new, Assignment) and new.role not in roles and (old is None or old.version != new.version):
            yield _problem(new, "role", f"is no role that the policy maps to a right{nearest(new.role, roles)}")


def _closing_subjects(pairs: Sequence[Pair]) -> Iterator[Problem]:
    """Let a note be about something that can close; so that none is about a note."""
    closing = sorted(kind.name for kind in KINDS.values() if kind.closable)
    for _, new in pairs:
        if isinstance(new, ServiceNote) and new.about is not None and new.about.kind not in closing:
            yield _problem(new, "about", f"must be about one of {', '.join(closing)}")


def _forest(view: View, kind: Kind, pairs: Sequence[Pair]) -> Iterator[Problem]:
    """Refuse a cycle of what the desk can see; one through something hidden is left for a check of the book to find."""
    up = cast("str", kind.up)
    given = [(old, row) for old, row in pairs if type(row) is kind.cls]
    if not _moved(given, up):
        return
    seen = view.readable(kind.cls, [row.key for old, row in given if old is not None])
    given = [(old, row) for old, row in given if old is None or row.key in seen]  # a merge moves hidden records too
    moved = _moved(given, up)
    lineage = view.find(kind.cls, id=above([getattr(row, up) for row in moved]))
    parents: dict[str, Any] = {row.key: getattr(row, up) for row in lineage}
    parents |= {row.key: getattr(row, up) for _, row in given}
    cleared: set[str] = set()
    for row in moved:
        if cycle := _cycle(row.key, parents, cleared):
            yield _problem(row, up, "makes a cycle: " + " → ".join(map(shown, cycle)))
            return


def _moved(pairs: Sequence[Pair], up: str) -> list[Entity]:
    return [row for old, row in pairs if getattr(row, up) and getattr(row, up) != getattr(old, up, None)]


def _cycle(start: str, parents: Mapping[str, str | None], cleared: set[str]) -> list[str]:
    """Return the cycle that a walk up runs into, or nothing; what was walked without one is remembered."""
    path: dict[str, None] = {}
    at: str | None = start
    while at is not None and at not in cleared:
        if at in path:
            walked = list(path)
            return [*walked[walked.index(at) :], at]
        path[at] = None
        at = parents.get(at)
    cleared.update(path)
    return []


def _one_organisation(view: View, pairs: Sequence[Pair]) -> Iterator[Problem]:
    """Refuse to let a position report to one at another organisation."""
    given = {row.key: row for _, row in pairs if isinstance(row, Position)}
    wanted = {row.reports_to_id for row in given.values() if row.reports_to_id} - set(given)
    stored = {row.id: row for row in view.find(Position, id=one_of(sorted(wanted)))} if wanted else {}
    for row in given.values():
        above_it = {**stored, **given}.get(row.reports_to_id or "")
        if above_it is not None and above_it.organisation_id != row.organisation_id:
            yield _problem(row, "reports_to_id", "is a position at another organisation")


def _made_single(view: View, pairs: Sequence[Pair]) -> Iterator[Problem]:
    """Refuse to make a role one for a single holder where it has two at a time."""
    made = [r for old, r in pairs if isinstance(r, ContactRole) and r.single and not getattr(old, "single", False)]
    held = view.trusted().find(Position, role=one_of([role.id for role in made])) if made else []
    for role in made:
        own = [p for p in held if p.role == role.id]
        if any(p.organisation_id == q.organisation_id and p.id < q.id and overlap(p, q) for p in own for q in own):
            yield _problem(role, "single", "cannot be: somewhere it has two holders at a time")


def _single_holders(view: View, pairs: Sequence[Pair]) -> Iterator[Problem]:
    """Refuse a second holder at a time of a role for one."""
    held = [row for _, row in pairs if isinstance(row, Position) and row.role]
    if not held:
        return
    raw = view.trusted()
    single = {role.id for role in raw.find(ContactRole, single=True)}
    held = [row for row in held if row.role in single]
    ids = one_of(sorted({row.organisation_id for row in held}))
    stored = raw.find(Position, organisation_id=ids, role=one_of(sorted(single))) if held else []
    given = {row.key: row for row in held}
    holders: dict[tuple[str, str | None], list[Position]] = defaultdict(list)
    for row in {**{row.id: row for row in stored}, **{r.key: r for _, r in pairs if isinstance(r, Position)}}.values():
        holders[row.organisation_id, row.role].append(row)
    for row in given.values():
        for other in holders[row.organisation_id, row.role]:
            if other.id != row.id and overlap(row, other):
                yield _problem(row, "role", "has another holder in these days")
                break
