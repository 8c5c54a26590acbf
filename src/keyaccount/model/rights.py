"""Who looks after an account, and who may do what with it."""

from __future__ import annotations

import enum
from datetime import date, datetime

import attrs

from keyaccount.model.entity import SPAN, Entity, first_day, identity, last_day
from keyaccount.model.organisations import line
from keyaccount.shapes import Checked, Choice, Flag, Moment, One, Rank, Refer, Rule, Text, field

KEY_ACCOUNT_MANAGER = "key account manager"
DEPUTY = "deputy"
TEAM_MEMBER = "team member"


class Right(enum.IntEnum):
    """What may be done with an account; a higher right includes the lower ones.

    `ADMINISTER` is: grant and revoke, assign managers, make private or open again, change the parent, remove.
    """

    READ = 1
    CHANGE = 2
    ADMINISTER = 3


@attrs.frozen(repr=False)
class Principal(Checked):
    """Whom a grant is for: a user, a unit (its members and those of its sub-units), or everyone.

    >>> user("volker"), unit("dach"), EVERYONE
    (user('volker'), unit('dach'), EVERYONE)
    """

    kind: str = field(Choice(("user", "unit", "everyone")), "everyone")
    id: str | None = field(Text(limit=200, line=True))

    rules = (
        Rule(
            ("id", "kind"),
            lambda ident, kind: (ident is None) == (kind == "everyone"),
            "is required, save for everyone",
        ),
    )

    def __repr__(self) -> str:
        """Show how to write it."""
        return "EVERYONE" if self.kind == "everyone" else f"{self.kind}({self.id!r})"


def user(id: str) -> Principal:
    """Name a user as the one a grant is for."""
    return Principal("user", id)


def unit(id: str) -> Principal:
    """Name a unit as the one a grant is for."""
    return Principal("unit", id)


EVERYONE = Principal("everyone")


@attrs.frozen(repr=False)
class Assignment(Entity):
    """A user looks after an organisation, or one contact, in a role, from a day to a day.

    `covers_subsidiaries` makes a global key account manager. `label` is for reports and gives no rights. On contacts
    only the role key account manager exists.
    """

    id: str = identity()
    user_id: str = field(Refer("User", gone="remove", required=True))
    organisation_id: str | None = field(Refer("Organisation", gone="remove"))
    contact_id: str | None = field(Refer("Contact", gone="remove"))
    role: str = field(Text(limit=200, line=True, required=True), KEY_ACCOUNT_MANAGER)
    covers_subsidiaries: bool = field(Flag(), False)
    label: str | None = field(line())
    valid_from: date | None = first_day()
    valid_until: date | None = last_day()

    rules = (
        SPAN,
        Rule(
            ("organisation_id", "contact_id"),
            lambda organisation, contact: (organisation is None) != (contact is None),
            "give either an organisation or a contact",
        ),
        Rule(
            ("role", "contact_id"),
            lambda role, contact: contact is None or role == KEY_ACCOUNT_MANAGER,
            "a contact has key account managers only",
        ),
        Rule(
            ("covers_subsidiaries", "contact_id"),
            lambda covers, contact: contact is None or not covers,
            "a contact has no subsidiaries",
        ),
    )


@attrs.frozen(repr=False)
class Grant(Entity):
    """A principal holds a right on an organisation, beside those who look after it."""

    id: str = identity()
    organisation_id: str = field(Refer("Organisation", gone="remove", required=True))
    principal: Principal = field(One(Principal, required=True))
    right: Right = field(Rank(Right), Right.READ)
    covers_subsidiaries: bool = field(Flag(), False)
    valid_from: date | None = first_day()
    valid_until: date | None = last_day()

    rules = (SPAN,)


@attrs.frozen(repr=False)
class Substitution(Entity):
    """A deputy stands in for an absent user, from a day to a day; it does not chain.

    The deputy holds what the absent user's assignments give, at most `CHANGE`, also on accounts assigned meanwhile.
    """

    id: str = identity()
    user_id: str = field(Refer("User", gone="remove", required=True))
    deputy_id: str = field(Refer("User", gone="remove", required=True))
    reason: str | None = field(line())
    valid_from: date | None = first_day()
    valid_until: date | None = last_day()

    rules = (SPAN, Rule(("deputy_id", "user_id"), lambda deputy, user: deputy != user, "is the absent user"))


@attrs.frozen(repr=False)
class BreakGlass(Entity):
    """A steward opened a private account for reading, for a stated reason, from a moment up to (not at) another.

    Written by `desk.people.break_glass`. It counts only while its user is a steward.
    """

    id: str = identity()
    organisation_id: str = field(Refer("Organisation", gone="remove", required=True))
    user_id: str = field(Refer("User", gone="remove", required=True))
    reason: str = field(Text(limit=1_000, line=True, required=True), "")
    opens_at: datetime | None = field(Moment())
    closes_at: datetime | None = field(Moment())

    rules = (
        Rule(
            ("closes_at", "opens_at"),
            lambda closes, opens: closes is not None and opens is not None and opens < closes,
            "must lie after opens_at",
        ),
    )
