"""What a repeated transaction answers: the records that the first one stored, also where the library made their ids."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from keyaccount.catalogue import KINDS, Kind, kind_of
from keyaccount.model.entity import Entity
from keyaccount.queries import one_of
from keyaccount.requests import Request, is_made
from keyaccount.view import View

Named = dict[tuple[str, str], Entity]


def replayed(view: View, request: Request, asked: Sequence[Entity]) -> tuple[Entity, ...]:
    """Return what is stored now of what was put the first time, in the order asked for.

    A record whose id the library made has another one now than it had then: it is known by what it says. What cannot
    be found any more, and what the first act does not name (it changed many thousand records), is returned as it is.
    """
    ids: dict[Kind, list[str]] = defaultdict(list)
    for row in asked:
        ids[kind_of(type(row))].append(row.key)
    answers = view.gather(*(view.query(kind.cls, id=one_of(keys)) for kind, keys in ids.items()))
    found = {_name(row): row for rows in answers for row in rows}
    made = [row for row in asked if _name(row) not in found and is_made(row.key)]
    if made:
        found |= _known_again(view, request, made)
    return tuple(found.get(_name(row), row) for row in asked)


def _known_again(view: View, request: Request, rows: Sequence[Entity]) -> Named:
    """Find the records that the first act made for these: the same in all but ids and what the library stamps.

    Records refer to each other by such ids, so each that is known makes others known.
    """
    stored = _first_made(view, request, {type(row).__name__ for row in rows})
    found: Named = {}
    waiting = list(rows)
    while waiting:
        alike: dict[tuple[str, str], list[Entity]] = defaultdict(list)
        for now, then in stored.values():
            alike[type(then).__name__, _told(request, then)].append(now)
        left = []
        for row in waiting:
            same = alike[type(row).__name__, _told(request, row)]
            if same:
                found[_name(row)] = now = same.pop(0)
                request.same(row.key, now.key)
                del stored[_name(now)]
            else:
                left.append(row)
        if len(left) == len(waiting):
            break
        waiting = left
    return found


def _first_made(view: View, request: Request, kinds: set[str]) -> dict[tuple[str, str], tuple[Entity, Entity]]:
    """Read what the first act stored under made ids, as it is now and as it was written, as far as it can be read."""
    ids: dict[str, list[str]] = defaultdict(list)
    for name, id in view.work.act.changed:
        if name in kinds and is_made(id) and not request.knows(id):
            ids[name].append(id)
    found: dict[tuple[str, str], tuple[Entity, Entity]] = {}
    for name, keys in ids.items():
        there = {row.key: row for row in view.find(KINDS[name].cls, id=one_of(keys))}
        for row in (there[key] for key in keys if key in there):
            then = row
            if row.version > 1:
                images = view.work.unit.images(name, row.key)
                then = next((i.record for i in images if i.act.seq == view.work.act.seq and i.record), row)
            found[_name(row)] = (row, then)
    return found


def _told(request: Request, row: Entity) -> str:
    return request.told(row, ("id", "version", *dict(kind_of(type(row)).stamped)))


def _name(row: Entity) -> tuple[str, str]:
    return type(row).__name__, row.key
