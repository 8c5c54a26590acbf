"""What somebody looks for: one record by its id or alias, a search by words, the accounts that are one's own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
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
from keyaccount.search import DIALLED, score
from keyaccount.values import fold
from keyaccount.view import View

E = TypeVar("E", bound=Entity)
T = TypeVar("T")
MOST_ALIKE = 5_000


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
    return or_alias(view, lambda at: view.get(kind, at), kind, id)


def or_alias(view: View, ask: Callable[..., T], kind: type[Entity], *ids: str | None) -> T:
    """Ask about records by their ids, or where one cannot be found, by those of the records they were merged into.

    The ids are of an organisation or a contact, as `kind` says; of both, the organisation comes first. Raises NotFound.
    """
    kinds: tuple[type[Entity], ...] = (kind, Contact) if len(ids) > 1 else (kind,)
    try:
        return ask(*ids)
    except NotFound:
        now = tuple(_current(view, cls, id) for cls, id in zip(kinds, ids, strict=True))
        if now == ids:
            raise
    return ask(*now)


def _current(view: View, kind: type[Entity], id: str | None) -> str | None:
    """Return the id of what an organisation or contact was merged into; the same where it was not, or is there."""
    if id is None or kind not in (Organisation, Contact) or view.find(kind, id=id):
        return id
    return aliases(view, kind, [id]).get(id, id)


def aliases(view: View, kind: type[Entity], ids: Iterable[str]) -> dict[str, str]:
    """Return by old id the id of the organisation or contact it was merged into, as far as it can be read."""
    field = "organisation_id" if kind is Organisation else "contact_id"
    known = view.find(Alias, old_id=one_of(list(ids)))
    return {row.old_id: target for row in known if (target := getattr(row, field))}


def hits(view: View, text: str, limit: int, *, dialled: Collection[tuple[str, str]] = ()) -> Iterator[Hit]:
    """Yield what a search finds, best first; a smaller limit gives the beginning of what a larger one gives.

    `dialled` are kinds and ids that are reached under the text as a phone number, in whatever form it is stored.
    """
    organisations, contacts, positions = view.gather(
        view.query(Organisation, searching=text, limit=limit),
        view.query(Contact, searching=text, limit=limit),
        view.query(Position, searching=text, limit=limit),
    )
    found = {(type(row).__name__, row.key): row for row in [*organisations, *contacts]}
    held = _enough(view, text, limit, cast("list[Position]", positions), found)
    at = {p.contact_id: p for p in reversed(held)}
    for kind, ids in ((Organisation, []), (Contact, [*at])):
        wanted = [*ids, *(id for name, id in dialled if name == kind.__name__)]
        missing = [id for id in dict.fromkeys(wanted) if (kind.__name__, id) not in found]
        found |= {(kind.__name__, row.key): row for row in view.find(kind, id=one_of(missing))} if missing else {}
    ranked = []
    for (name, id), row in found.items():
        position = at.get(id) if name == "Contact" else None
        scores = [
            score(kind_of(type(row)), row, text),
            score(kind_of(Position), position, text) if position is not None else None,
            DIALLED if (name, id) in dialled else None,
        ]
        best = min(rank for rank in scores if rank is not None)
        called: str = row.name  # type: ignore[attr-defined]
        hit = Hit(name, id, called, position.organisation_id if position else None, row)
        ranked.append((best, fold(called), name, id, hit))
    ranked.sort(key=lambda item: item[:4])
    yield from (item[-1] for item in ranked[:limit])


def _enough(
    view: View, text: str, limit: int, positions: list[Position], found: Mapping[tuple[str, str], Entity]
) -> list[Position]:
    """Read on where those of the worst rank matter and were cut off: they come by id here, their contacts by name.

    Of more than some thousands that answer alike, those are taken that come first here.
    """
    asked = limit
    while positions and len(positions) == asked < MOST_ALIKE:
        worst = _rank(positions[-1], text)
        better = {key for key, row in found.items() if _rank(row, text) < worst}
        better |= {("Contact", p.contact_id) for p in positions if _rank(p, text) < worst}
        if len(better) >= limit:
            break
        asked = min(max(10 * asked, 100), MOST_ALIKE)
        (more,) = view.gather(view.query(Position, searching=text, limit=asked))
        positions = cast("list[Position]", more)
    return positions


def _rank(row: Entity, text: str) -> int:
    found = score(kind_of(type(row)), row, text)
    return DIALLED if found is None else found


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
