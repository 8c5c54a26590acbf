"""The one table of kinds: what each hangs on, what it refers to, who writes it.

The write gate, restriction, masking, search and the adapters are all driven by these rows. A kind without a complete
row does not load.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any, Literal

import attrs

from keyaccount.errors import ValidationError, nearest
from keyaccount.model.activities import Activity
from keyaccount.model.aliases import Alias
from keyaccount.model.commerce import Invoice, Order, Product
from keyaccount.model.contacts import Contact, ContactRole, Position
from keyaccount.model.contracts import Contract
from keyaccount.model.entity import Entity
from keyaccount.model.groups import ClientGroup, GroupMembership, KeyAccountStatus
from keyaccount.model.links import Link as Pointer
from keyaccount.model.notes import Acknowledgement, Context, ExpectedProvider, NoteCategory, ServiceNote
from keyaccount.model.organisations import Organisation
from keyaccount.model.organogram import Unit, User
from keyaccount.model.renewals import Renewal
from keyaccount.model.rights import Assignment, BreakGlass, Grant, Right, Substitution
from keyaccount.model.sales import Opportunity
from keyaccount.shapes import Day, Flag, Many, Refer, Shape, Text, Whole, shapes_of

Reach = Literal["account", "contact", "hangs", "free"]
"""How a record is reached: it is an account; a contact (through its positions); it hangs on others; on no account."""

Stamp = Literal["who", "when", "who?", "when?", "each time", "kept"]


@attrs.frozen
class Link:
    """One field that refers to records of a kind."""

    field: str
    kind: str
    many: bool
    gone: str


@attrs.frozen(eq=False)
class Kind:
    """A row of the catalogue.

    `home` are the fields that name what a record hangs on, the deciding one first: all that are given must be
    readable, and the first one given is where the right to write is held. `else_any` is used where none of them is
    given: any of its records will do. `write` is the right that a write needs there (None: trusted desks and stewards
    only, and the user whom the `own` field names). `by_call` names the one call that writes the kind on bound desks.

    `stamped` are fields the library sets: who and when ("who?" and "when?" only where nothing is given, "each time" at
    every write, "kept": by the library alone); `fixed` ones
    never change after the first write. `personal` ones are blanked when a person is erased; `searched` ones are found
    by search; `derived` are properties that conditions and orders may use. `title` names a record in a sentence, `open`
    is the property that says it is not closed now, `closes` the one that names the last day it is not, `up` the field
    that makes the kind a forest.
    """

    cls: type[Entity]
    reach: Reach
    write: Right | None
    home: tuple[str, ...] = ()
    else_any: str | None = None
    own: str | None = None
    by_call: str | None = None
    stamped: tuple[tuple[str, Stamp], ...] = ()
    fixed: tuple[str, ...] = ()
    personal: tuple[str, ...] = ()
    searched: tuple[str, ...] = ()
    derived: tuple[tuple[str, Shape], ...] = ()
    title: str = "id"
    open: str | None = None
    closes: str | None = None
    name: str = attrs.field(init=False)
    shapes: dict[str, Shape] = attrs.field(init=False)
    links: tuple[Link, ...] = attrs.field(init=False)
    dated: bool = attrs.field(init=False)
    up: str | None = attrs.field(init=False)
    _by_field: dict[str, Link] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Read from the class what the class already says."""
        shapes = shapes_of(self.cls)
        self._set("name", self.cls.__name__)
        self._set("links", tuple(_links(shapes)))
        self._set("_by_field", {link.field: link for link in self.links})
        self._set("dated", "valid_until" in shapes)
        self._set("up", next((link.field for link in self.links if link.kind == self.name and not link.many), None))
        self._set("shapes", shapes | dict(self.derived))

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    @property
    def closable(self) -> bool:
        """Whether its records are open or closed."""
        return self.open is not None or self.closes is not None

    def is_open(self, row: Entity, on: date) -> bool:
        """Say whether a record is open on a day; one of a kind that knows no closing is."""
        if self.closes is not None:
            last: date | None = getattr(row, self.closes)
            return last is None or on <= last
        return self.open is None or bool(getattr(row, self.open))

    def told(self, row: Entity) -> str:
        """Name a record in a sentence: its title; where that is a number, or there is none, with the kind before it."""
        title, number = getattr(row, self.title), getattr(row, "number", None)
        if title and self.title != "number":
            return str(title)
        return f"{self.name} {number}" if number else self.name

    def link(self, field: str) -> Link | None:
        """Return the reference a field holds, or None."""
        return self._by_field.get(field)


def _links(shapes: dict[str, Shape]) -> Iterator[Link]:
    for name, shape in shapes.items():
        item = shape.item if isinstance(shape, Many) else shape
        if isinstance(item, Refer):
            yield Link(name, item.kind, isinstance(shape, Many), item.gone)


_CURRENCY = Text(limit=3, line=True)
WHO_AND_WHEN: tuple[tuple[str, Stamp], ...] = (("created_by", "who"), ("created_at", "when"))

KINDS = {
    kind.name: kind
    for kind in (
        Kind(Unit, "free", None, searched=("name",), title="name"),
        Kind(User, "free", None, personal=("name", "email"), title="name"),
        Kind(
            Organisation,
            "account",
            Right.CHANGE,
            searched=("id", "name", "address_name", "emails", "phones", "refs", "addresses"),
            title="name",
        ),
        Kind(
            Contact,
            "contact",
            Right.CHANGE,
            stamped=(("created_by", "who"), ("formerly_held", "kept")),
            personal=("name", "salutation", "phones", "emails", "addresses", "birthday", "language"),
            searched=("id", "name", "emails", "phones", "refs", "addresses"),
            title="name",
        ),
        Kind(
            Position,
            "hangs",
            Right.CHANGE,
            home=("organisation_id",),
            fixed=("contact_id", "organisation_id"),
            personal=("phones", "emails"),
            searched=("emails", "phones"),
            title="title",
        ),
        Kind(ContactRole, "free", None, title="name"),
        Kind(Assignment, "hangs", Right.ADMINISTER, home=("organisation_id", "contact_id"), title="role"),
        Kind(Grant, "hangs", Right.ADMINISTER, home=("organisation_id",), fixed=("organisation_id",)),
        Kind(Substitution, "free", None, own="user_id", fixed=("user_id",), title="reason"),
        Kind(
            BreakGlass,
            "hangs",
            None,
            home=("organisation_id",),
            by_call="people.break_glass",
            fixed=("organisation_id", "user_id", "opens_at"),
            title="reason",
        ),
        Kind(
            ServiceNote,
            "hangs",
            Right.CHANGE,
            home=("organisation_id", "contact_id"),
            stamped=WHO_AND_WHEN,
            personal=("text",),
            title="text",
        ),
        Kind(
            Alias,
            "hangs",
            None,
            home=("organisation_id", "contact_id"),
            by_call="merging.merge",
            fixed=("old_id",),
            title="old_id",
        ),
        Kind(NoteCategory, "free", None),
        Kind(Context, "free", None),
        Kind(ExpectedProvider, "free", None),
        Kind(
            Acknowledgement,
            "hangs",
            Right.READ,
            home=("note_id",),
            own="user_id",
            fixed=("note_id", "user_id"),
            stamped=(("user_id", "who"), ("at", "each time")),
        ),
        Kind(
            Activity,
            "hangs",
            Right.CHANGE,
            home=("organisation_id",),
            else_any="contact_ids",
            stamped=(("by_id", "who?"), ("at", "when?")),
            personal=("subject", "summary", "outcome"),
            derived=(("two_way", Flag()), ("open", Flag())),
            title="subject",
            open="open",
        ),
        Kind(ClientGroup, "free", None, title="name"),
        Kind(GroupMembership, "hangs", Right.CHANGE, home=("organisation_id",), fixed=("organisation_id",)),
        Kind(KeyAccountStatus, "hangs", Right.CHANGE, home=("organisation_id",), title="status"),
        Kind(
            Contract,
            "hangs",
            Right.CHANGE,
            home=("organisation_id",),
            derived=(("last_day", Day("end")),),
            title="title",
            closes="last_day",
        ),
        Kind(
            Renewal,
            "hangs",
            Right.CHANGE,
            home=("organisation_id", "contract_id"),
            by_call="renewals.advance",
            fixed=("contract_id", "raised_on"),
            derived=(("open", Flag()),),
            title="state",
            open="open",
        ),
        Kind(Product, "free", None, title="name"),
        Kind(
            Order,
            "hangs",
            Right.CHANGE,
            home=("organisation_id",),
            derived=(("open", Flag()), ("currency", _CURRENCY), ("net_units", Whole())),
            title="number",
            open="open",
        ),
        Kind(
            Invoice,
            "hangs",
            Right.CHANGE,
            home=("organisation_id",),
            derived=(("currency", _CURRENCY), ("net_units", Whole()), ("settled_on", Day("end")), ("open", Flag())),
            title="number",
            open="open",
            closes="open_until",
        ),
        Kind(
            Opportunity,
            "hangs",
            Right.CHANGE,
            home=("organisation_id",),
            derived=(("open", Flag()),),
            title="title",
            open="open",
        ),
        Kind(
            Pointer,
            "hangs",
            Right.CHANGE,
            home=("organisation_id",),
            derived=(("open", Flag()),),
            title="title",
            open="open",
        ),
    )
}


def kind_of(cls: object) -> Kind:
    """Return the catalogue's row for an entity class; raise ValidationError for anything else."""
    name = getattr(cls, "__name__", None) if isinstance(cls, type) else None
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None or kind.cls is not cls:
        hint = nearest(name or cls, KINDS)
        raise ValidationError.of("kind", "", name or cls, f"is no kind of record{hint}")
    return kind


def referring(kind: str) -> Iterator[tuple[Kind, Link]]:
    """Yield every reference in the catalogue that leads to a kind."""
    for other in KINDS.values():
        for link in other.links:
            if link.kind == kind:
                yield other, link
