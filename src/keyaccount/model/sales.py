"""What may be sold: opportunities."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import attrs

from keyaccount.model.entity import Entity, identity
from keyaccount.model.organisations import line
from keyaccount.money import Money
from keyaccount.shapes import Amount, Choice, Day, Exact, Many, Refer, Rule, Text, field

OPPORTUNITY_KINDS = ("new", "upsell", "cross-sell", "renewal")
EXPANSIONS = frozenset({"upsell", "cross-sell"})
OPPORTUNITY_STATES = ("open", "won", "lost", "no decision")


@attrs.frozen(repr=False)
class Opportunity(Entity):
    """Something an account may buy: what it is worth, how likely it is (0.25 is 25 percent), until when.

    `stage` is the host's own word. It is open until it is won, lost or ends without a decision on `closed_on`; `value`
    is then the last value before closing. `competitors` are the suppliers known to be in the deal.

    >>> Opportunity("o-1", organisation_id="acme", title="Second plant", kind="upsell", probability="0.25").open
    True
    """

    id: str = identity()
    organisation_id: str = field(Refer("Organisation", gone="remove", required=True))
    contact_ids: tuple[str, ...] = field(Many(Refer("Contact")), ())
    title: str | None = field(line(folded=True))
    kind: str = field(Choice(OPPORTUNITY_KINDS), "new")
    stage: str | None = field(line(200))
    state: str = field(Choice(OPPORTUNITY_STATES), "open")
    probability: Decimal | None = field(Exact(low=0, high=1, required=False))
    value: Money | None = field(Amount())
    expected_on: date | None = field(Day())
    closed_on: date | None = field(Day())
    reason: str | None = field(Text())
    competitors: tuple[str, ...] = field(Many(Text(limit=200, line=True, required=True)), ())

    rules = (
        Rule(
            ("closed_on", "state"),
            lambda closed, state: (closed is None) == (state == "open"),
            "is given when, and only when, it is no longer open",
        ),
        Rule(("value",), lambda value: value is None or value.units >= 0, "must not be negative"),
    )

    @property
    def open(self) -> bool:
        """Whether it is still to be decided."""
        return self.state == "open"

    def open_on(self, on: date) -> bool:
        """Say whether it was still to be decided at the end of a day."""
        return self.closed_on is None or self.closed_on > on
