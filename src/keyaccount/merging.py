"""Two records that are one: what a merge changes, and how it is undone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Any, cast

import attrs

from keyaccount import gate, gate_rights
from keyaccount.catalogue import KINDS, Kind, kind_of, referring
from keyaccount.errors import NotFound, Problem, ValidationError, article, shown
from keyaccount.model.aliases import Alias
from keyaccount.model.contacts import Contact
from keyaccount.model.entity import Entity, evolved
from keyaccount.model.organisations import Organisation
from keyaccount.model.rights import KEY_ACCOUNT_MANAGER, Assignment, Right
from keyaccount.results import Result
from keyaccount.spans import in_force
from keyaccount.storage import Change, Image
from keyaccount.values import FrozenMap
from keyaccount.view import View

_UNITED = ("phones", "emails", "addresses")
_CONSENTS = ("accepts_letters", "accepts_email", "accepts_calls")


@attrs.frozen(repr=False)
class Merge(Result):
    """What a merge did: the record that stays, the id that became an alias, how many records moved; `act` undoes it."""

    winner: Entity
    loser_id: str
    moved: int
    act: str


def merge(view: View, cls: type[Entity], winner_id: str, loser_id: str) -> Merge:
    """Move everything of one organisation or contact to another; see `desk.merging.merge`."""
    kind = kind_of(cls)
    if cls not in (Organisation, Contact):
        raise ValidationError.of("merge", "kind", kind.name, "must be Organisation or Contact")
    if winner_id == loser_id:
        raise ValidationError.of("merge", "loser", loser_id, "is the winner")
    winner = view.get(cls, winner_id)
    if (done := _done(view, kind, winner, loser_id)) is not None:
        return done
    loser = view.get(cls, loser_id)
    gate_rights.need(view, kind.name, (winner_id, loser_id), Right.ADMINISTER, f"merging {article(kind.name)}")
    raw = view.trusted()
    winner, loser = raw.get(cls, winner_id), raw.get(cls, loser_id)
    changes = list(_changes(raw, kind, winner, loser))
    gate.apply(view, changes, moves=True)
    stays = view.get(cls, winner_id)
    return Merge(stays, loser_id, _seen(view, changes), view.work.act.key or "")


def undo(view: View, act_key: str) -> tuple[Entity, ...]:
    """Put back what one merge changed; see `desk.merging.undo`."""
    act = view.work.unit.act_of(act_key) if isinstance(act_key, str) else None
    if act is None or not act_key.startswith(_TOKEN):
        raise NotFound("Act", str(act_key))
    images = {name: list(view.work.unit.images(*name)) for name in act.changed}
    if not any(kind == "Alias" for kind, _ in images):
        raise NotFound("Act", act_key)
    for (kind, _), was in images.items():
        kept = next((i.record for i in was if i.act.seq == act.seq and isinstance(i.record, Alias)), None)
        if kind == "Alias" and kept is not None:
            target, owner = (
                "Organisation" if kept.organisation_id else "Contact",
                kept.organisation_id or kept.contact_id,
            )
            view.get(KINDS[target].cls, cast("str", owner))
            gate_rights.need(view, target, [cast("str", owner)], Right.ADMINISTER, "undoing a merge")
    # what has no image any more, the host has removed from its own tables
    changed_since = [name for name, was in images.items() if not was or was[-1].act.seq != act.seq]
    if changed_since:
        known = [(k, id) for k, id in changed_since if view.reader is None or view.readable(KINDS[k].cls, [id])]
        raise ValidationError(
            Problem(f"{kind} {shown(id)}", "", "", "was changed since the merge")
            for kind, id in known or [("Act", act_key)]
        )
    changes = [_restored(kind, id, was) for (kind, id), was in images.items()]
    gate.apply(view, changes, moves=True)
    back = [change for change in changes if change.before is None and change.after is not None]
    return tuple(row for change in back for row in view.find(KINDS[change.kind].cls, id=change.id))


def _seen(view: View, changes: Sequence[Change]) -> int:
    """Count the moved records that can be read."""
    ids: dict[str, list[str]] = defaultdict(list)
    for change in changes:
        if change.before is not None and change.after is not None:
            ids[change.kind].append(change.id)
    winner = 1
    return sum(len(view.readable(KINDS[name].cls, some)) for name, some in ids.items()) - winner


_TOKEN = "merge-"  # noqa: S105 - how the keys of merges begin, no secret


def _done(view: View, kind: Kind, winner: Entity, loser_id: str) -> Merge | None:
    """Recognise a merge that was made before: running it again changes nothing."""
    field = "organisation_id" if kind.cls is Organisation else "contact_id"
    known = view.find(Alias, old_id=loser_id, **{field: winner.key})
    if not known or view.find(kind.cls, id=loser_id):
        return None
    return Merge(winner, loser_id, 0, "")


def _changes(raw: View, kind: Kind, winner: Entity, loser: Entity) -> Iterator[Change]:
    """Yield the winner with what it takes over, all records that referred to the loser, its alias, and its end."""
    refers = [(other, link) for other, link in referring(kind.name)]
    answers = raw.gather(*(raw.where(other.cls, {link.field: loser.key}) for other, link in refers))
    moved: dict[tuple[str, str], tuple[Entity, Entity]] = {}
    united = _united(winner, loser)
    for (other, link), rows in zip(refers, answers, strict=True):
        for row in rows:
            if other is kind and row.key in (winner.key, loser.key):
                continue
            before, now = moved.get((other.name, row.key), (row, row))
            value: Any = winner.key
            if link.many:
                ids = (winner.key if id == loser.key else id for id in getattr(now, link.field))
                value = tuple(dict.fromkeys(ids))
            moved[other.name, row.key] = (before, evolved(now, {link.field: value}))
    if isinstance(winner, Organisation) and isinstance(loser, Organisation):
        united = evolved(united, {"private": winner.private or loser.private})
        if getattr(united, "parent_id", None) == loser.key:
            united = evolved(united, {"parent_id": loser.parent_id})
        moved |= _shielded(raw, winner, loser, moved)
    yield Change(kind.name, loser.key, loser, None)
    yield Change(kind.name, winner.key, winner, evolved(united, {"version": winner.version + 1}))
    for (name, id), (before, after) in moved.items():
        yield Change(name, id, before, evolved(after, {"version": before.version + 1}))
    field = "organisation_id" if kind.cls is Organisation else "contact_id"
    whom: dict[str, Any] = {field: winner.key}
    alias = Alias(old_id=loser.key, version=1, **whom)
    yield Change("Alias", alias.key, None, alias)


def _united(winner: Entity, loser: Entity) -> Entity:
    """Let the winner take over the numbers, addresses and references that it has not.

    Of a person, what was refused on either record is refused, and an important one stays important.
    """
    changes: dict[str, Any] = {"refs": FrozenMap({**loser.refs, **winner.refs})}
    for field in _UNITED:
        changes[field] = tuple(dict.fromkeys((*getattr(winner, field), *getattr(loser, field))))
    if isinstance(winner, Contact) and isinstance(loser, Contact):
        changes |= {field: getattr(winner, field) and getattr(loser, field) for field in _CONSENTS}
        changes["vip"] = winner.vip or loser.vip
    return evolved(winner, changes)


def _shielded(
    raw: View, winner: Organisation, loser: Organisation, moved: dict[tuple[str, str], tuple[Entity, Entity]]
) -> dict[tuple[str, str], tuple[Entity, Entity]]:
    """Keep the result as shielded as the stricter: managers of the open account do not come into the private one."""
    if not (winner.private or loser.private):
        return {}
    assigned = raw.find(Assignment, organisation_id=winner.key), raw.find(Assignment, organisation_id=loser.key)
    managing = [{a.user_id for a in some if _manages(a, raw.today)} for some in assigned]
    if winner.private and loser.private and managing[0] != managing[1]:
        raise ValidationError.of(
            f"Organisation {shown(winner.id)}",
            "private",
            True,
            "both are private, with other managers; hand one over first",
        )
    if winner.private and loser.private:
        return {}
    own, others = (managing[0], assigned[1]) if winner.private else (managing[1], assigned[0])
    ended: dict[tuple[str, str], tuple[Entity, Entity]] = {}
    for row in others:
        if row.role == KEY_ACCOUNT_MANAGER and row.user_id not in own and _lasts(row, raw.today):
            before, now = moved.get(("Assignment", row.id), (row, row))
            last = raw.today - timedelta(days=1)
            start = getattr(now, "valid_from", None)
            span = {"valid_until": last, "valid_from": min(start, last) if start else None}
            ended["Assignment", row.id] = (before, evolved(now, span))
    return ended


def _manages(row: Assignment, today: date) -> bool:
    return row.role == KEY_ACCOUNT_MANAGER and in_force(row, today)


def _lasts(row: Assignment, today: date) -> bool:
    return row.valid_until is None or row.valid_until >= today


def _restored(kind: str, id: str, was: Sequence[Image]) -> Change:
    """Return the change from what a record is now to what it was before its last image."""
    now, before = was[-1].record, was[-2].record if len(was) > 1 else None
    version = max(image.record.version for image in was if image.record is not None) + 1
    return Change(kind, id, now, None if before is None else evolved(before, {"version": version}))
