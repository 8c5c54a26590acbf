"""What somebody looks for: one record by its id or alias, a search by words, the accounts that are one's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar, cast

import attrs

from keyaccount.access import Reader
from keyaccount.catalogue import kind_of
from keyaccount.errors import NotFound
from keyaccount.model.aliases import Alias
from keyaccount.model.contacts import Contact, Position
from keyaccount.model.entity import Entity
from keyaccount.model.organisations import Organisation
from keyaccount.model.rights import DEPUTY, KEY_ACCOUNT_MANAGER, Assignment
from keyaccount.queries import at_least, at_most, below, one_of
from keyaccount.results import Result, Rows
from keyaccount.search import score
from keyaccount.values import fold
from keyaccount.view import View

E = TypeVar("E", bound=Entity)


@attrs.frozen(repr=False)
class Hit(Result):
    """A record that a search found: an organisation or a contact."""

    kind: str
    id: str
    name: str
    organisation_id: str | None
    record: Entity


@attrs.frozen(repr=False)
class Hits(Rows[Hit]):
    """What a search found, best first."""

    rows: tuple[Hit, ...]


@attrs.frozen(repr=False)
class Mine(Rows[Organisation]):
    """The organisations somebody manages or deputises for, by name."""

    rows: tuple[Organisation, ...]


def by_id_or_alias(view: View, kind: type[E], id: str) -> E:
    """Read a record, or the one it was merged into."""
    try:
        return view.get(kind, id)
    except NotFound:
        known = view.find(Alias, old_id=id) if kind in (Organisation, Contact) else []
    field = "organisation_id" if kind is Organisation else "contact_id"
    target = next((found for alias in known if (found := getattr(alias, field))), None)
    if target is None:
        raise NotFound(kind.__name__, id)
    return view.get(kind, target)


def hits(view: View, text: str, limit: int) -> Iterator[Hit]:
    """Yield what a search finds, best first."""
    organisations, contacts, positions = view.gather(
        view.query(Organisation, searching=text, limit=limit),
        view.query(Contact, searching=text, limit=limit),
        view.query(Position, searching=text, limit=limit),
    )
    at = {p.contact_id: p for p in reversed(cast("list[Position]", positions))}
    known = {row.key for row in contacts}
    reached = view.find(Contact, id=one_of([id for id in at if id not in known]))
    ranked = []
    for row in [*organisations, *contacts, *reached]:
        kind = kind_of(type(row))
        own = score(kind, row, text)
        position = at.get(row.key) if isinstance(row, Contact) else None
        there = score(kind_of(Position), position, text) if position is not None else None
        best = min(rank for rank in (own, there) if rank is not None)
        name: str = row.name  # type: ignore[attr-defined]
        ranked.append(
            (
                best,
                fold(name),
                kind.name,
                row.key,
                Hit(kind.name, row.key, name, position.organisation_id if position else None, row),
            )
        )
    ranked.sort(key=lambda item: item[:4])
    yield from (item[-1] for item in ranked[:limit])


def mine(view: View, reader: Reader) -> list[Organisation]:
    """Read the accounts of a user's own and of absent managers' assignments, and what those cover, where readable."""
    assigned = [
        row
        for row in view.trusted().find(
            Assignment,
            user_id=one_of([reader.user.id, *reader.acts_for]),
            role=one_of([KEY_ACCOUNT_MANAGER, DEPUTY]),
            valid_from=at_most(view.today),
            valid_until=at_least(view.today),
        )
        if row.user_id == reader.user.id or row.role == KEY_ACCOUNT_MANAGER
    ]
    own = {row.organisation_id for row in assigned}
    covering = [row.organisation_id for row in assigned if row.covers_subsidiaries and row.organisation_id]
    covered = {row.id for row in view.find(Organisation, id=below(covering)) if not row.private} if covering else set()
    return view.find(Organisation, id=one_of([id for id in own | covered if id]), order="name")
