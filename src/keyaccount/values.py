"""Small frozen values that everything else is made of: mappings, folded names, ids."""

from __future__ import annotations

import os
import time
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class FrozenMap(Mapping[K, V], Generic[K, V]):
    """A mapping that does not change: ordered by insertion, equal to any mapping of the same items, hashable.

    >>> FrozenMap({"erp": "42"})
    FrozenMap({'erp': '42'})
    """

    __slots__ = ("_hash", "_items")

    def __init__(self, items: Mapping[K, V] | tuple[tuple[K, V], ...] = ()) -> None:
        """Copy the items."""
        self._items: dict[K, V] = dict(items)
        self._hash: int | None = None

    def __getitem__(self, key: K) -> V:
        """Return one value."""
        return self._items[key]

    def __iter__(self) -> Iterator[K]:
        """Iterate over the keys."""
        return iter(self._items)

    def __len__(self) -> int:
        """Count the items."""
        return len(self._items)

    def __eq__(self, other: object) -> bool:
        """Compare exactly: 1 is not True, in an inner list neither."""
        if not isinstance(other, FrozenMap):
            return self._items == other if isinstance(other, Mapping) else NotImplemented
        return self._items == other._items and exact(self) == exact(other)

    def __hash__(self) -> int:
        """Hash by content, whatever the order."""
        if self._hash is None:
            self._hash = hash(frozenset(self._items.items()))
        return self._hash

    def __repr__(self) -> str:
        """Show the items."""
        return f"FrozenMap({self._items!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as the items."""
        return (FrozenMap, (tuple(self._items.items()),))


def exact(value: Any) -> Any:
    """Return a JSON value with the types of its parts, so that equal means the same."""
    if isinstance(value, FrozenMap):
        return {key: exact(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [exact(item) for item in value]
    return (type(value).__name__, value)


def frozen_json(value: Any, depth: int = 0, budget: list[int] | None = None) -> Any:
    """Return a JSON value as immutable Python values; raise ValueError where it is not JSON.

    >>> frozen_json({"a": [1, 2]})
    FrozenMap({'a': (1, 2)})
    """
    budget = [_MOST_PARTS] if budget is None else budget
    budget[0] -= 1
    if budget[0] < 0:
        raise ValueError(f"has more than {_MOST_PARTS} parts")
    if depth > 20:  # noqa: PLR2004
        raise ValueError("is nested deeper than 20 levels")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        if reason := unwritable(value):
            raise ValueError(reason)
        return str.__str__(value)
    if isinstance(value, int):
        if value.bit_length() > 256:  # noqa: PLR2004
            raise ValueError("holds a number of more than 256 bits")
        return int(value)
    if isinstance(value, float):
        if value - value != 0:
            raise ValueError("holds a number that JSON does not know")
        return float(value)
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise ValueError("holds a key that is not text")
        return FrozenMap(
            {frozen_json(key, depth + 1, budget): frozen_json(item, depth + 1, budget) for key, item in value.items()}
        )
    if isinstance(value, (list, tuple)):
        return tuple(frozen_json(item, depth + 1, budget) for item in value)
    raise ValueError(f"holds a {type(value).__name__}, which JSON does not know")


_MOST_PARTS = 100_000


def unwritable(text: str, *, line: bool = False) -> str | None:
    r"""Say why a text cannot be kept, or None when it can.

    NUL, lone surrogates and control characters are refused; tabs and line breaks are kept in texts, not in a `line`
    (names, ids, numbers).

    >>> unwritable("fine\n")
    >>> unwritable("fine\n", line=True)
    'holds the control character U+000A'
    """
    if text.isprintable():
        return None
    for character in text:
        code = ord(character)
        if 0xD800 <= code <= 0xDFFF:  # noqa: PLR2004
            return f"holds half a character (U+{code:04X})"
        if unicodedata.category(character) == "Cc" and (line or character not in "\t\n\r"):
            return f"holds the control character U+{code:04X}"
    return None


def fold(name: str) -> str:
    """Return the form by which names compare: Unicode case folding and NFC.

    >>> fold("STRASSE") == fold("Straße")
    True
    """
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def new_id() -> str:
    """Make a time-ordered id (UUID version 7, RFC 9562) for a record whose host gave it none."""
    stamp = time.time_ns() // 1_000_000
    noise = int.from_bytes(os.urandom(10), "big")
    number = (stamp & (1 << 48) - 1) << 80 | 7 << 76 | (noise >> 68) << 64 | 2 << 62 | noise & (1 << 62) - 1
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
