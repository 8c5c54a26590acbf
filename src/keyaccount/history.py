"""What a record has been: who changed it, when, from what to what, as far as the reader may see it today."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import attrs

from keyaccount.catalogue import KINDS, Kind
from keyaccount.model.entity import Entity, evolved
from keyaccount.model.notes import Reference
from keyaccount.results import Result, Rows
from keyaccount.storage import Image
from keyaccount.view import View


@attrs.frozen(repr=False)
class Happening(Result):
    """One change of a record: `before` is None where it was made or could not be read, `after` where removed."""

    at: datetime
    by: str
    why: str | None
    before: Entity | None
    after: Entity | None


@attrs.frozen(repr=False)
class History(Rows[Happening]):
    """The changes of a record, oldest first."""

    rows: tuple[Happening, ...]


def history(view: View, kind: Kind, id: str) -> History:
    """Return a record's history with today's rights; NotFound where the record cannot be read now.

    A removed record has a history for trusted desks only. An image of when it hung on, or was about, something that
    cannot be read is left out, with who changed it then or removed it.
    """
    images = list(view.work.unit.images(kind.name, id)) if isinstance(id, str) and id else []
    if view.reader is not None or not images:
        view.get(kind.cls, id)
    seen = _seen(view, kind, images)
    before = [None, *(record for _, record, _ in seen)]
    zone = view.now.tzinfo
    return History(
        tuple(
            Happening(image.act.at.astimezone(zone), image.act.by, image.act.why, was, record)
            for was, (image, record, shown) in zip(before, seen, strict=False)
            if shown
        )
    )


def _seen(view: View, kind: Kind, images: Sequence[Image]) -> list[tuple[Image, Entity | None, bool]]:
    """Return each image as the reader may see it, and whether it is shown at all."""
    if view.reader is None:
        return [(image, image.record, True) for image in images]
    readable = _readable(view, kind, images)
    found: list[tuple[Image, Entity | None, bool]] = []
    for image in images:
        record = None if image.record is None else _masked(kind, image.record, readable)
        removed_in_sight = image.record is None and bool(found) and found[-1][1] is not None
        found.append((image, record, record is not None or removed_in_sight))
    return found


def _readable(view: View, kind: Kind, images: Sequence[Image]) -> set[tuple[str, str]]:
    """Return which of the records that some images refer to can be read."""
    wanted: dict[str, set[str]] = {}
    for image in images:
        for target, id in _references(kind, image.record):
            wanted.setdefault(target, set()).add(id)
    known = [(target, ids) for target, ids in wanted.items() if target in KINDS]
    return {(target, id) for target, ids in known for id in view.readable(KINDS[target].cls, ids)}


def _references(kind: Kind, record: Entity | None) -> Iterator[tuple[str, str]]:
    for link in kind.links if record is not None else ():
        value: Any = getattr(record, link.field)
        yield from ((link.kind, id) for id in (value if link.many else (value,)) if id is not None)
    about = getattr(record, "about", None)
    if isinstance(about, Reference):
        yield about.kind, about.id


def _masked(kind: Kind, record: Entity, readable: set[tuple[str, str]]) -> Entity | None:
    """Return an image without what cannot be read; None where it hung on, or was about, something that cannot be."""
    about = getattr(record, "about", None)
    if isinstance(about, Reference) and (about.kind, about.id) not in readable:
        return None
    changes: dict[str, Any] = {}
    for link in kind.links:
        value = getattr(record, link.field)
        if link.many:
            changes[link.field] = tuple(id for id in value if (link.kind, id) in readable)
        elif value is not None and (link.kind, value) not in readable:
            if link.field in kind.home:
                return None
            changes[link.field] = None
    given = [field for field in kind.home if getattr(record, field) is not None]
    if kind.reach == "hangs" and not given and not changes.get(kind.else_any or "", ()):
        return None
    return evolved(record, changes)
