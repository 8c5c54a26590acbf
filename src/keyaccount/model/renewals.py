"""The work of renewing a contract: from the alert to the signature, with every step."""

from __future__ import annotations

from datetime import date, datetime

import attrs

from keyaccount.model.entity import Entity, identity
from keyaccount.model.organisations import line
from keyaccount.shapes import Checked, Choice, Day, Flag, Many, Moment, One, Refer, Rule, Text, field

WORKING = ("alerted", "analysing", "proposing", "negotiating", "agreed")
ENDED = ("signed", "lost", "superseded")
STEPS = 1_000


@attrs.frozen(repr=False)
class RenewalStep(Checked):
    """One move of a renewal: when, by whom, from which state to which, with a note."""

    at: datetime | None = field(Moment())
    by_id: str | None = field(Text(limit=200, line=True))
    before: str | None = field(Choice((*WORKING, *ENDED), required=False))
    to: str = field(Choice((*WORKING, *ENDED)), "alerted")
    note: str | None = field(Text())


@attrs.frozen(repr=False)
class Renewal(Entity):
    """The work on one contract that is about to end: alerted, analysing, proposing, negotiating, agreed, signed, lost.

    `raised_on` is the day of the first alert and stays; `alert_on`, `deadline_on` and `due_on` follow the contract.
    `successor_id` is the contract that was signed; then the renewal is `archived`. One whose contract was renewed or
    terminated otherwise is superseded.
    """

    id: str = identity()
    organisation_id: str = field(Refer("Organisation", gone="remove", required=True))
    contract_id: str = field(Refer("Contract", gone="remove", required=True))
    state: str = field(Choice((*WORKING, *ENDED)), "alerted")
    raised_on: date | None = field(Day(required=True))
    alert_on: date | None = field(Day())
    deadline_on: date | None = field(Day())
    due_on: date | None = field(Day(required=True))
    reason: str | None = field(line())
    successor_id: str | None = field(Refer("Contract", gone="clear"))
    archived: bool = field(Flag(), False)
    steps: tuple[RenewalStep, ...] = field(Many(One(RenewalStep, required=True), limit=STEPS, sought=False), ())

    rules = (
        Rule(
            ("reason", "state"),
            lambda reason, state: state != "lost" or bool(reason and reason.strip()),
            "of a lost renewal is required",
        ),
    )

    @property
    def open(self) -> bool:
        """Whether it is still worked on."""
        return self.state in WORKING
