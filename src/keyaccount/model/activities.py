"""What happened with an account, and what was promised."""

from __future__ import annotations

from datetime import date, datetime

import attrs

from keyaccount.model.entity import Entity, identity
from keyaccount.model.organisations import line
from keyaccount.shapes import Choice, Day, Flag, Many, Moment, Refer, Rule, Text, field

MET = frozenset({"meeting", "visit"})
WROTE = frozenset({"e-mail", "email"})


@attrs.frozen(repr=False)
class Activity(Entity):
    """A call, meeting, visit, e-mail, note, handover or status change: who, when, with whom, what next.

    `at` is when it happened, `by_id` the colleague. `direction` is "in" or "out" as seen from us, `connected` whether a
    call was answered. `follow_up_on` is the day something was promised for, `done_at` when that was kept.
    """

    id: str = identity()
    organisation_id: str | None = field(Refer("Organisation", gone="remove"))
    contact_ids: tuple[str, ...] = field(Many(Refer("Contact")), ())
    kind: str = field(line(200), "note")
    direction: str | None = field(Choice(("in", "out"), required=False))
    connected: bool = field(Flag(), True)
    at: datetime | None = field(Moment())
    by_id: str | None = field(Refer("User"))
    subject: str | None = field(line())
    summary: str | None = field(Text())
    outcome: str | None = field(Text())
    follow_up_on: date | None = field(Day())
    done_at: datetime | None = field(Moment())

    rules = (
        Rule(("kind",), bool, "is required"),
        Rule(
            ("organisation_id", "contact_ids"),
            lambda organisation, contacts: organisation is not None or bool(contacts),
            "give an organisation, or the contacts who took part",
        ),
    )

    @property
    def two_way(self) -> bool:
        """Whether it counts as contact in both directions: an answered call, a meeting, a visit, an e-mail received."""
        if self.kind == "call":
            return self.connected
        return self.kind in MET or (self.kind in WROTE and self.direction == "in")

    @property
    def open(self) -> bool:
        """Whether something promised is still to be kept."""
        return self.follow_up_on is not None and self.done_at is None
