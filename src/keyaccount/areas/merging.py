"""`desk.merging`: two records that are one, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keyaccount import merging
from keyaccount.errors import AccessDenied
from keyaccount.merging import Merge
from keyaccount.model.entity import Entity
from keyaccount.values import new_id

if TYPE_CHECKING:
    from keyaccount.desk import Desk


class Merging:
    """Two records that are one, and back; reached as `desk.merging`."""

    __slots__ = ("_desk",)

    def __init__(self, desk: Desk) -> None:
        """Belong to a desk."""
        self._desk = desk

    def merge(self, kind: type[Entity], winner: str, loser: str) -> Merge:
        """Merge two organisations, or two contacts, that are one: in one transaction of its own.

        Everything that hangs on the loser moves, its id stays readable as an alias, its numbers, addresses and
        references are added to the winner's; letters, e-mails or calls that a contact refused on either are refused,
        and a VIP stays one. Private wins: managers of the open account do not come into the private one. Needs
        `ADMINISTER` on both. Running it again changes nothing.

        Raises NotFound, AccessDenied, ValidationError: two private accounts with different managers, a role for one
        that would have two holders, a parent that would come to stand under itself.
        """
        if self._desk._book._in_transaction():
            raise AccessDenied("a merge is an act of its own; call it outside a transaction")
        with self._desk._view(write=True, key=f"merge-{new_id()}") as view:
            return merging.merge(view, kind, winner, loser)

    def undo(self, act: str) -> tuple[Entity, ...]:
        """Undo a merge by its `act`: put every record back as it was, and return those that are there again.

        Raises NotFound for what is no merge, AccessDenied, and ValidationError with a list where records changed since.
        """
        with self._desk._view(write=True) as view:
            return merging.undo(view, act)
