"""Which customers belong together, and which of them are key accounts: dated, so that any day can be asked about."""

from __future__ import annotations

from datetime import date

import attrs

from keyaccount.model.entity import SPAN, Entity, first_day, identity, last_day, name_field
from keyaccount.shapes import Choice, Day, Refer, Text, field


@attrs.frozen(repr=False)
class ClientGroup(Entity):
    """A segment of customers, for price lists and reports."""

    id: str = identity()
    name: str = name_field()


@attrs.frozen(repr=False)
class GroupMembership(Entity):
    """An organisation belongs to a client group, from a day to a day."""

    id: str = identity()
    organisation_id: str = field(Refer("Organisation", gone="remove", required=True))
    group_id: str = field(Refer("ClientGroup", gone="remove", required=True))
    valid_from: date | None = first_day()
    valid_until: date | None = last_day()

    rules = (SPAN,)


@attrs.frozen(repr=False)
class KeyAccountStatus(Entity):
    """What an organisation is in the roster of key accounts, from a day to a day: candidate, key or former."""

    id: str = identity()
    organisation_id: str = field(Refer("Organisation", gone="remove", required=True))
    status: str = field(Choice(("candidate", "key", "former")), "key")
    why: str | None = field(Text())
    review_due_on: date | None = field(Day())
    valid_from: date | None = first_day()
    valid_until: date | None = last_day()

    rules = (SPAN,)
