"""What a host keeps itself and this library points to: tasks, issues, projects, tickets, documents."""

from __future__ import annotations

import re
from datetime import date

import attrs

from keyaccount.model.entity import Entity, identity
from keyaccount.model.organisations import line
from keyaccount.money import Money
from keyaccount.shapes import Amount, Choice, Day, Refer, Text, field

SCHEMES = ("http", "https", "mailto", "tel")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):\S")


def address_of(value: str) -> str | None:
    """Say why a text is no web address that may be shown, or None."""
    found = _SCHEME.match(value)
    known = found is not None and found[1].lower() in SCHEMES
    return None if known else f"must begin with {', '.join(SCHEMES[:-1])} or {SCHEMES[-1]}"


@attrs.frozen(repr=False)
class Link(Entity):
    """A pointer from an organisation (or one of its contracts) to anything of the host's.

    `kind` is the host's own word ("task", "issue", "project", "ticket", "document"); `reference` its key there. `state`
    says whether it is still open.

    >>> Link("t-1", organisation_id="acme", kind="ticket", reference="4711", title="Pump leaks").open
    True
    """

    id: str = identity()
    organisation_id: str = field(Refer("Organisation", gone="remove", required=True))
    contract_id: str | None = field(Refer("Contract", gone="clear"))
    kind: str = field(Text(limit=200, line=True, required=True))
    reference: str | None = field(line())
    title: str | None = field(line(folded=True))
    state: str = field(Choice(("open", "closed")), "open")
    url: str | None = field(Text(limit=2_000, line=True, pattern=address_of))
    amount: Money | None = field(Amount())
    dated_on: date | None = field(Day())

    @property
    def open(self) -> bool:
        """Whether it is still open."""
        return self.state == "open"
