"""May this desk write that? The rights that changes and removals need, and where they are held."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import attrs

from keyaccount import access
from keyaccount.catalogue import KINDS, Kind
from keyaccount.errors import AccessDenied, article, shown
from keyaccount.gate_drafts import Draft
from keyaccount.model.contacts import Position
from keyaccount.model.entity import Entity
from keyaccount.model.organisations import Organisation
from keyaccount.model.rights import Right, Substitution
from keyaccount.queries import one_of
from keyaccount.view import View


@attrs.frozen
class Need:
    """A right that a change needs on one record, and the words for its refusal."""

    kind: str
    id: str
    right: Right
    what: str


def authorise(view: View, drafts: Sequence[Draft]) -> None:
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


def _account_of(view: View, kind: Kind, row: Entity) -> Iterator[tuple[str, str]]:
    """Follow a record's homes up to the accounts or contacts it belongs to."""
    for target, id in _home(kind, row):
        if KINDS[target].reach == "hangs":
            yield from _account_of(view, KINDS[target], view.get(KINDS[target].cls, id))
        else:
            yield target, id


def authorise_removal(view: View, kind: Kind, row: Entity) -> None:
    """Refuse a bound desk the removal of what it may not administer."""
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


def need(view: View, kind: str, ids: Iterable[str], right: Right, what: str) -> None:
    """Refuse a bound desk that does not hold a right on these accounts or contacts."""
    if view.reader is not None:
        _hold(view, [Need(kind, id, right, what) for id in ids])
