"""Records that are whole but that nobody reaches: what a check of a book finds beside damage."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from keyaccount.model.contacts import Contact, Position
from keyaccount.model.organisations import Organisation
from keyaccount.model.rights import Assignment
from keyaccount.queries import one_of
from keyaccount.results import Rows
from keyaccount.storage import Finding
from keyaccount.view import View


@attrs.frozen(repr=False)
class Findings(Rows[Finding]):
    """What a check found; empty where everything fits together."""

    rows: tuple[Finding, ...]


def unreached(view: View) -> Iterator[Finding]:
    """Yield private accounts without a manager, contacts nobody reads, roles nobody mapped, and cycles."""
    yield from _cycles(view)
    private = view.find(Organisation, private=True, order="id")
    managed = view.managed(view.find(Assignment, organisation_id=one_of([o.id for o in private])))
    for organisation in private:
        if organisation.id not in managed:
            yield Finding("Organisation", organisation.id, "is private and has no key account manager in force")
    held = {position.contact_id for position in view.find(Position)}
    for contact in view.find(Contact, created_by=None, order="id"):
        if contact.id not in held:
            yield Finding(
                "Contact", contact.id, "has no position and nobody who entered it: only trusted desks read it"
            )
    for assignment in view.find(Assignment, order="id"):
        if assignment.role not in view.work.policy.roles:
            yield Finding("Assignment", assignment.id, f"has a role that gives no right: {assignment.role!r}")


def _cycles(view: View) -> Iterator[Finding]:
    """Find organisations that stand under themselves: a desk that could not see the whole of it moved one there."""
    parents = {row.id: row.parent_id for row in view.find(Organisation)}
    sound: set[str] = set()
    for start in parents:
        path: dict[str, None] = {}
        at: str | None = start
        while at is not None and at not in sound and at not in path:
            path[at] = None
            at = parents.get(at)
        if at is not None and at in path:
            yield Finding("Organisation", at, "stands under itself")
        sound.update(path)
