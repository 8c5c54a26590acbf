"""Ids that once named an organisation or a contact of their own."""

from __future__ import annotations

import attrs

from keyaccount.model.entity import Entity, identity
from keyaccount.shapes import Refer, Rule, Text, field


@attrs.frozen(repr=False)
class Alias(Entity):
    """The id (`old_id`) of an organisation or a contact that was merged into another, which is read in its place."""

    id: str = identity()
    old_id: str = field(Text(limit=200, line=True, required=True), "")
    organisation_id: str | None = field(Refer("Organisation", gone="remove"))
    contact_id: str | None = field(Refer("Contact", gone="remove"))

    rules = (
        Rule(
            ("organisation_id", "contact_id"),
            lambda organisation, contact: (organisation is None) != (contact is None),
            "give either an organisation or a contact",
        ),
    )
