"""Our side: units and the users who belong to them."""

from __future__ import annotations

import attrs

from keyaccount.model.entity import Entity, identity, name_field
from keyaccount.shapes import Email, Flag, Many, Refer, field


@attrs.frozen(repr=False)
class Unit(Entity):
    """A department, team or region of ours; units form the organogram, a forest.

    `head_id` is the user who heads it. Heading a unit is not belonging to it.

    >>> Unit("dach", name="Sales DACH", parent_id="sales")
    Unit(id='dach', name='Sales DACH', parent_id='sales')
    """

    id: str = identity()
    name: str = name_field()
    parent_id: str | None = field(Refer("Unit"))
    head_id: str | None = field(Refer("User"))


@attrs.frozen(repr=False)
class User(Entity):
    """A colleague: whoever a desk can be bound to. The host owns who they are; an inactive one has no desk."""

    id: str = identity()
    name: str = name_field()
    unit_ids: tuple[str, ...] = field(Many(Refer("Unit")), ())
    email: str | None = field(Email(required=False))
    active: bool = field(Flag(), True)
