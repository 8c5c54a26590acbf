"""Lengths of time in contracts: so many months or days, with a clause that names the possible ends."""

from __future__ import annotations

import attrs

from keyaccount.errors import ValidationError
from keyaccount.shapes import Checked, Choice, Number, Rule, field

CLAUSES = ("month", "quarter", "year")
LONGEST_MONTHS, LONGEST_DAYS = 12_000, 366_000


@attrs.frozen(repr=False)
class Term(Checked):
    """So many months or days; a `clause` names the ends that notice can reach: of a month, a quarter or a year.

    Made by `ka.months(3)`, `ka.days(30)`, `ka.months(3, clause="quarter")`.
    """

    count: int = field(Number())
    unit: str = field(Choice(("month", "day")), "month")
    clause: str | None = field(Choice(CLAUSES, required=False))

    rules = (
        Rule(
            ("count", "unit"),
            lambda count, unit: count <= (LONGEST_MONTHS if unit == "month" else LONGEST_DAYS),
            f"is more than {LONGEST_MONTHS} months, or {LONGEST_DAYS} days",
        ),
    )

    def __repr__(self) -> str:
        """Show how to write it."""
        clause = f", clause={self.clause!r}" if self.clause else ""
        return f"{self.unit}s({self.count}{clause})"

    def __str__(self) -> str:
        """Say it in words.

        >>> str(months(3, clause="quarter")), str(days(1))
        ('3 months to the end of a quarter', '1 day')
        """
        to = f" to the end of a {self.clause}" if self.clause else ""
        return f"{self.count} {self.unit}{'' if self.count == 1 else 's'}{to}"


def months(count: int, *, clause: str | None = None) -> Term:
    """Return a length of whole months, for terms and notice periods.

    >>> months(3)
    months(3)
    """
    return Term(count, "month", clause)


def days(count: int, *, clause: str | None = None) -> Term:
    """Return a length of days, for notice periods.

    >>> days(30)
    days(30)
    """
    return Term(count, "day", clause)


def term_of(value: object) -> object:
    """Read a term from its text form: "3 months", "30 days", "3 months to the end of a quarter"; else as it is."""
    if not isinstance(value, str):
        return value
    words = value.split()
    if len(words) < 2 or not words[0].isascii() or not words[0].isdecimal() or len(words[0]) > 6:  # noqa: PLR2004
        return value
    unit, to = words[1].removesuffix("s"), words[2:]
    if unit not in ("month", "day") or (to and to[:5] != ["to", "the", "end", "of", "a"]):
        return value
    try:
        return Term(int(words[0]), unit, " ".join(to[5:]) or None)
    except ValidationError:
        return value
