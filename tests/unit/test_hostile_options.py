"""Any value in any option of a report: an answer, or the documented error; a misspelt word never gives nothing."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

import keyaccount as ka


class Nasty:
    """A value that can neither be compared, nor hashed, nor shown."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        """Refuse."""
        raise RuntimeError("compared")

    def __repr__(self) -> str:
        """Refuse."""
        raise RuntimeError("shown")


YEAR = ka.Period.year(2026)
ODD: tuple[Any, ...] = (
    *(None, "", 0, -1, 10**30, 1.5, float("nan"), "x", "\ud800", "a" * 5_000, b"x", [], {}, (1, 2), True),
    *(date.min, date.max, datetime(2026, 11, 23, tzinfo=UTC), object(), Nasty()),
    *(ka.Money(1, "EUR"), Decimal("NaN"), Fraction(1, 3)),
)
POSITIONAL = {"period": YEAR, "contract": "hosting", "organisation": "acme"}
SHARED = ("on", "by", "group", "level", "attribution", "currency", "frames", "nonsense")


def reports(desk: ka.Desk) -> Iterator[tuple[str, Any]]:
    """Yield every report of a desk, by name."""
    for area in (desk.portfolio, desk.billing, desk.contracts):
        for name in dir(area):
            if not name.startswith("_"):
                yield f"{type(area).__name__}.{name}", getattr(area, name)
    yield from {"health_check": desk.health_check, "daily": desk.daily, "panel": desk.panel}.items()
    yield "data_quality", desk.data_quality


with ka.demo() as _demo:
    NAMES = [name for name, _ in reports(_demo.trusted("names"))]


@pytest.mark.parametrize("name", NAMES)
def test_any_value_in_any_option(name: str) -> None:
    """Every option of every report takes any value at all, or refuses it with an error of this library."""
    with ka.demo() as book:
        call = dict(reports(book.desk("volker")))[name]
        known = inspect.signature(call).parameters.values()
        needed = [POSITIONAL[one.name] for one in known if one.kind is one.POSITIONAL_OR_KEYWORD]
        options = [one.name for one in known if one.kind is one.KEYWORD_ONLY]
        options += SHARED if any(one.kind is one.VAR_KEYWORD for one in known) else []
        tries = [(needed, {option: value}) for option in options for value in ODD]
        tries += [([value], {}) for value in ODD if needed]
        answered, refused = 0, []
        for positional, given in tries:
            try:
                repr(call(*positional, **given))
                answered += 1
            except ka.KeyAccountError as error:
                refused.append(str(error))
        assert answered
        assert refused
        assert all(refused)


@pytest.mark.parametrize("name", NAMES)
def test_a_misspelt_group_is_no_empty_answer(name: str) -> None:
    """A group that there is not is refused with the nearest right word, wherever a group can be asked for."""
    with ka.demo() as book:
        call = dict(reports(book.desk("volker")))[name]
        known = inspect.signature(call).parameters.values()
        needed = [POSITIONAL[one.name] for one in known if one.kind is one.POSITIONAL_OR_KEYWORD]
        if any(one.name == "group" or one.kind is one.VAR_KEYWORD for one in known):
            with pytest.raises(ka.ValidationError, match="did you mean 'key accounts'"):
                call(*needed, group="key acounts")
        else:
            assert name in {"Contracts.state", "Contracts.cover", "panel", "data_quality"}
