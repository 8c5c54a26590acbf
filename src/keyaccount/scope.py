"""What one reader may see of some rows: the rule of `access`, applied to records that hang on others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, cast

from keyaccount import access
from keyaccount.catalogue import KINDS, Kind, Link
from keyaccount.model.contacts import Contact, Position
from keyaccount.model.entity import Entity, evolved
from keyaccount.model.notes import Reference
from keyaccount.model.organisations import Organisation
from keyaccount.model.organogram import User
from keyaccount.model.rights import Assignment, BreakGlass, Grant, Right
from keyaccount.rows import Rows
from keyaccount.spans import in_force


class Scope:
    """What one reader may see of some rows; made for one query and thrown away with it."""

    def __init__(self, rows: Rows, reader: access.Reader | None) -> None:
        """Start with nothing decided."""
        self._rows = rows
        self._reader = reader
        self._covering: dict[str, tuple[access.Claim, ...]] = {}
        self._readable: dict[tuple[str, str], bool] = {}

    def permits(self, kind: Kind, row: Entity, right: Right = Right.READ) -> bool:
        """Say whether the reader holds a right on a row, by what the row hangs on."""
        reader = self._reader
        if reader is None:
            return True
        if kind.reach == "free":
            return right is Right.READ or reader.steward
        if isinstance(row, Organisation):
            return access.holds(reader, row, self._claims_for(row), right)
        if isinstance(row, Contact):
            return self._permits_contact(reader, row, right)
        return self._permits_hanging(kind, row, right)

    def _permits_contact(self, reader: access.Reader, contact: Contact, right: Right) -> bool:
        """Decide on a contact by its positions: a current one carries `CHANGE` there, any of them `READ`.

        `ADMINISTER` is held at every organisation of a current position that can be read. Its own key account manager
        may change it. One that never held a position belongs to who entered it.
        """
        held = list(cast("Iterable[Position]", self._rows.by("Position", "contact_id", (contact.id,))))
        counting = {p.organisation_id for p in held if right is Right.READ or in_force(p, reader.today)}
        there = [id for id in counting if self.readable("Organisation", id)]
        enough = all if right is Right.ADMINISTER else any
        if there and enough(self.holds("Organisation", id, right) for id in there):
            return True
        if not held and not contact.formerly_held and (contact.created_by == reader.user.id or reader.steward):
            return True
        return right <= Right.CHANGE and self._manages(reader, contact)

    def _manages(self, reader: access.Reader, contact: Contact) -> bool:
        assigned = cast("Iterable[Assignment]", self._rows.by("Assignment", "contact_id", (contact.id,)))
        mine = {reader.user.id, *reader.acts_for}
        return any(a.user_id in mine and in_force(a, reader.today) for a in assigned)

    def _permits_hanging(self, kind: Kind, row: Entity, right: Right) -> bool:
        homes = [(link, id) for link in _home(kind) if (id := getattr(row, link.field)) is not None]
        if not homes and kind.else_any is not None:
            link = kind.link(kind.else_any)
            return link is not None and any(self.holds(link.kind, id, right) for id in getattr(row, kind.else_any))
        needs = [right, *[Right.READ] * (len(homes) - 1)]
        reached = all(self.holds(link.kind, id, need) for (link, id), need in zip(homes, needs, strict=True))
        about = getattr(row, "about", None)
        return bool(homes) and reached and (not isinstance(about, Reference) or self.readable(about.kind, about.id))

    def holds(self, kind: str, id: str, right: Right) -> bool:
        """Say whether the reader holds a right on the record with this id."""
        if right is Right.READ:
            return self.readable(kind, id)
        row = self._rows.get(kind, id)
        return row is not None and self.permits(KINDS[kind], row, right)

    def readable(self, kind: str, id: str) -> bool:
        """Say whether there is such a record that the reader may read."""
        known = self._readable.get((kind, id))
        if known is None:
            row = self._rows.get(kind, id) if kind in KINDS else None
            known = row is not None and self.permits(KINDS[kind], row)
            self._readable[kind, id] = known
        return known

    def masked(self, kind: Kind, row: Entity) -> Entity:
        """Return the row as the reader sees it: references to what they may not read are absent."""
        if self._reader is None:
            return row
        changes: dict[str, Any] = {}
        for link in kind.links:
            if KINDS[link.kind].reach == "free":
                continue
            value = getattr(row, link.field)
            if link.many:
                kept = tuple(id for id in value if self.readable(link.kind, id))
                if len(kept) < len(value):
                    changes[link.field] = kept
            elif value is not None and not self.readable(link.kind, value):
                changes[link.field] = None
        return evolved(row, changes)

    def _claims_for(self, organisation: Organisation) -> Iterator[access.Claim]:
        """Yield the claims on an organisation, then the covering one above; looked up only when they are reached."""
        yield from self._claims(organisation.id)
        yield from self._inherited(organisation)

    def _claims(self, organisation_id: str) -> Iterator[access.Claim]:
        for kind in ("Assignment", "Grant", "BreakGlass"):
            found = list(self._rows.by(kind, "organisation_id", (organisation_id,)))
            records = cast("list[Assignment | Grant | BreakGlass]", found)
            yield from access.claims(records, inactive=self._inactive(found))

    def _inactive(self, records: Iterable[Entity]) -> set[str]:
        """Return which users of some assignments are not active; asked only where a deputy's right depends on it."""
        if self._reader is None or not self._reader.policy.deputies_see_private:
            return set()
        users = [self._rows.get("User", record.user_id) for record in records if isinstance(record, Assignment)]
        return {user.id for user in users if isinstance(user, User) and not user.active}

    def _inherited(self, organisation: Organisation) -> tuple[access.Claim, ...]:
        """Return the strongest covering claim of the reader above an organisation, walking up without recursion."""
        path: list[str] = []
        above = organisation.parent_id
        while above is not None and above not in self._covering:
            self._covering[above] = ()  # a mark, so that damaged data with a cycle ends the walk
            path.append(above)
            parent = self._rows.get("Organisation", above)
            above = parent.parent_id if isinstance(parent, Organisation) else None
        best = self._covering.get(above, ()) if above is not None else ()
        for id in reversed(path):
            best = self._strongest((*best, *(claim for claim in self._claims(id) if claim.covers_subsidiaries)))
            self._covering[id] = best
        return self._covering.get(organisation.parent_id, ()) if organisation.parent_id is not None else ()

    def _strongest(self, claims: Iterable[access.Claim]) -> tuple[access.Claim, ...]:
        reader = self._reader
        if reader is None:
            return ()
        held = [(right, claim) for claim in claims if (right := access.right_of(reader, claim)) is not None]
        return (max(held, key=lambda pair: pair[0])[1],) if held else ()


def _home(kind: Kind) -> Iterator[Link]:
    for field in kind.home:
        if (link := kind.link(field)) is not None:
            yield link
