"""What was agreed for a time: contracts."""

from __future__ import annotations

from datetime import date

import attrs

from keyaccount import deadlines
from keyaccount.model.entity import Entity, identity
from keyaccount.model.organisations import line
from keyaccount.model.terms import Term, term_of
from keyaccount.money import Money
from keyaccount.shapes import Amount, Choice, Day, Flag, Many, One, Refer, Rule, Text, field

VALUE_PER = ("month", "quarter", "year", "term", "once")
TERMINATION_REASONS = ("lapsed", "customer", "us", "replaced", "insolvency", "moved")


@attrs.frozen(repr=False)
class Contract(Entity):
    """An agreement with an organisation, from a day to a day or until further notice; its state is never stored.

    `value` (net of tax) is per month, quarter, year, term or once. `notice` is the notice period; `initial_term` the
    time before which an auto-renewing contract cannot end; `renewal_term` by how much it goes on when nobody gives
    notice (None: it ends). `terminated_on` is the day notice was given, `terminated_to` the last day in force where
    that was agreed otherwise. `predecessor_ids` are the contracts this one renews; an `add_on` runs beside them.

    >>> from keyaccount.model.terms import months
    >>> Contract("m-1", organisation_id="acme", starts_on=date(2026, 1, 1), notice=months(3)).notice
    months(3)
    """

    id: str = identity()
    organisation_id: str = field(Refer("Organisation", gone="remove", required=True))
    number: str | None = field(line(200))
    title: str | None = field(line())
    kind: str = field(Text(limit=200, line=True, required=True), "contract")
    signed_on: date | None = field(Day())
    starts_on: date | None = field(Day(required=True))
    ends_on: date | None = field(Day("end"))
    value: Money | None = field(Amount())
    value_per: str = field(Choice(VALUE_PER), "year")
    notice: Term | None = field(One(Term, convert=term_of))
    initial_term: Term | None = field(One(Term, convert=term_of))
    renewal_term: Term | None = field(One(Term, convert=term_of))
    terminated_on: date | None = field(Day())
    terminated_to: date | None = field(Day())
    termination_reason: str | None = field(Choice(TERMINATION_REASONS, required=False))
    predecessor_ids: tuple[str, ...] = field(Many(Refer("Contract")), ())
    add_on: bool = field(Flag(), False)

    rules = (
        Rule(
            ("ends_on", "starts_on"),
            lambda end, start: end is None or start is None or start <= end,
            "lies before starts_on",
        ),
        Rule(
            ("value_per", "ends_on", "initial_term", "value"),
            lambda per, end, initial, value: value is None or per != "term" or end is not None or initial is not None,
            "needs ends_on, or an initial term",
        ),
        Rule(
            ("renewal_term",),
            lambda term: term is None or (term.unit == "month" and term.count > 0 and term.clause is None),
            "must be one month or more, such as ka.months(12)",
        ),
        Rule(
            ("renewal_term", "ends_on", "initial_term"),
            lambda term, end, initial: term is None or end is not None or initial is not None,
            "needs ends_on, or an initial term",
        ),
        Rule(
            ("initial_term",),
            lambda term: term is None or (term.count > 0 and term.clause is None),
            "must be one month or day or more, without a clause",
        ),
        Rule(("value",), lambda value: value is None or value.units >= 0, "must not be negative"),
        Rule(
            ("terminated_to", "terminated_on"),
            lambda to, on: to is None or on is not None,
            "needs terminated_on, the day notice was given",
        ),
        Rule(
            ("termination_reason", "terminated_on"),
            lambda reason, on: reason is None or on is not None,
            "needs terminated_on, the day notice was given",
        ),
        Rule(("predecessor_ids", "id"), lambda before, own: own not in before, "holds the contract itself"),
    )

    @property
    def last_day(self) -> date | None:
        """The last day it is known to be in force; None where it goes on until somebody ends it.

        A termination ends it where that notice reaches: at the end of a term or of the clause's month, quarter or year.
        """
        return deadlines.last_day(self)
