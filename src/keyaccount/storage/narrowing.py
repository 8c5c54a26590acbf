"""Questions that a host's columns cannot answer exactly: narrowed down in SQL to rows too many rather than too few.

Folding is Unicode's, and no database's. So a text is compared as far as it is ASCII, and anything may stand for the
rest; the few characters beside ASCII that fold to ASCII are let through.
"""

from __future__ import annotations

from collections.abc import Callable

from keyaccount.queries import Test
from keyaccount.shapes import Many, Shape, Text
from keyaccount.storage.hosts import Reading
from keyaccount.values import fold

_LONGEST = 200
_SEVERAL = 50
_KEYPAD = ("0", "1", "2abc", "3def", "4ghi", "5jkl", "6mno", "7pqrs", "8tuv", "9wxyz")


def narrowed(bind: Callable[[str], str], reading: Reading, shape: Shape, column: str, test: Test) -> str | None:
    """Return a condition that holds of all rows that may meet a test on a rough field; None where none is known."""
    if test.op == "dialled":
        numbers = [_number(key.rpartition(":")[2], reading) for key in test.value]
        matches = [reading.numbers.format(column, bind(pattern)) for pattern in sorted(set(numbers))]
        return " OR ".join([*matches, reading.foreign.format(column)])
    item = shape.item if isinstance(shape, Many) else shape
    if test.op not in ("is", "one_of") or not isinstance(item, Text) or not item.folded:
        return None
    values = [test.value] if test.op == "is" else list(test.value)
    if len(values) > _SEVERAL or not all(isinstance(value, str) for value in values):
        return None
    around = '%"' if isinstance(shape, Many) else ""
    patterns = [f"{around}{_like(fold(value))}{around[::-1]}" for value in values]
    return _alike(bind, reading, column, patterns)


def sought(bind: Callable[[str], str], reading: Reading, columns: dict[str, str], wanted: str, digits: str) -> str:
    """Return a condition that holds of all rows in which a search may find a text, in any of some columns."""
    texts = " || ' ' || ".join(f"COALESCE({column}, '')" for column in columns.values())
    found = [_alike(bind, reading, f"({texts})", [f"%{_like(wanted)}%"])] if wanted else []
    if digits and "phones" in columns:
        column = columns["phones"]
        found += [reading.numbers.format(column, bind(_number(digits[:_LONGEST], reading, letters=False)))]
        found += [reading.foreign.format(column)]
    return " OR ".join(found)


def _alike(bind: Callable[[str], str], reading: Reading, column: str, patterns: list[str]) -> str:
    lower = reading.lower.format(column)
    matches = [f"{lower} LIKE {bind(pattern)} ESCAPE '\\'" for pattern in patterns]
    return " OR ".join([*matches, reading.special.format(column)])


def _like(folded: str) -> str:
    """Write a folded text as a pattern: what is beside ASCII, and what JSON escapes, may be anything."""
    sure = "".join(c if " " <= c <= "~" and c not in '"\\/' else "\0" for c in folded[:_LONGEST])
    escaped = sure.replace("%", "\\%").replace("_", "\\_").replace("\0", "%")
    return escaped if len(folded) <= _LONGEST else f"{escaped}%"


def _number(digits: str, reading: Reading, *, letters: bool = True) -> str:
    """Write the digits of a number as a pattern of all texts that hold them in order, as digits or on a keypad."""
    signs = [f"[{_KEYPAD[int(digit)]}]" if letters else digit for digit in digits]
    return f"*{'*'.join(signs)}*" if "GLOB" in reading.numbers else ".*".join(signs)
