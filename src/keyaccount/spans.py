"""Effective dating: inclusive days, where no end means unbounded, in every comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import date


class Dated(Protocol):
    """Anything with two inclusive days."""

    @property
    def valid_from(self) -> date | None:
        """The first day, or None: since ever."""

    @property
    def valid_until(self) -> date | None:
        """The last day, or None: open."""


def in_force(span: Dated, on: date) -> bool:
    """Say whether a dated record counts on a day; both ends belong to it."""
    return (span.valid_from is None or span.valid_from <= on) and (span.valid_until is None or on <= span.valid_until)


def overlap(one: Dated, other: Dated) -> bool:
    """Say whether two dated records share a day."""
    return _starts_by(one, other.valid_until) and _starts_by(other, one.valid_until)


def _starts_by(span: Dated, day: date | None) -> bool:
    return span.valid_from is None or day is None or span.valid_from <= day


def by_start(span: Dated) -> tuple[int, int]:
    """Order by start: a record without one has always been there and comes first."""
    return (0, 0) if span.valid_from is None else (1, span.valid_from.toordinal())
