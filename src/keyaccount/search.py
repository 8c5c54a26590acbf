"""How well a record answers a few typed characters."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

from keyaccount.catalogue import Kind
from keyaccount.model.entity import Entity
from keyaccount.model.organisations import Address
from keyaccount.values import fold

NEEDLE_LIMIT = 200
NAMES = frozenset({"name", "address_name"})
DIALLED = 4
_DIGITS_WANTED = 3


def score(kind: Kind, row: Entity, needle: str) -> int | None:
    """Rank a record for a needle: 0 is best, None is no match.

    The whole name, the start of the name, the start of a word in it, another field that equals or starts with the
    needle (id, e-mail, town, external reference), digits of a phone number, the needle anywhere.

    >>> from keyaccount.catalogue import kind_of
    >>> from keyaccount.model.organisations import Organisation
    >>> score(kind_of(Organisation), Organisation("a", name="ACME AG"), "acm")
    1
    """
    wanted, digits = prepared(needle)
    if not wanted:
        return None
    scores = [_score(field, text, wanted, digits) for field, text in texts(kind, row)]
    return min((found for found in scores if found is not None), default=None)


@functools.lru_cache(16)
def prepared(needle: str) -> tuple[str, str]:
    """Fold a needle and take its digits, where it is long enough a number; kept because every row asks for the same."""
    wanted = fold(needle.strip())
    digits = "".join(character for character in wanted if character.isdecimal())
    sought = len(digits) >= _DIGITS_WANTED and not any(character.isalpha() for character in wanted)
    return wanted, digits if sought else ""


def _score(field: str, text: str, wanted: str, digits: str) -> int | None:
    if field == "phones":
        return DIALLED if digits and digits in "".join(c for c in text if c.isdecimal()) else None
    own = fold(text)
    if field in NAMES:
        if own == wanted:
            return 0
        if own.startswith(wanted):
            return 1
        if f" {wanted}" in own:
            return 2
    elif own.startswith(wanted):
        return 3
    return 5 if wanted in own else None


def texts(kind: Kind, row: Entity) -> Iterator[tuple[str, str]]:
    """Yield what a record is searched by: the field and its text, one for each item."""
    for field in kind.searched:
        value: Any = getattr(row, field)
        if value is None:
            continue
        if isinstance(value, str):
            yield field, value
        elif isinstance(value, Mapping):
            yield from ((field, item) for item in value.values())
        else:
            for item in value:
                town = item.town if isinstance(item, Address) else item
                if town:
                    yield field, town
