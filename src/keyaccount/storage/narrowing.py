"""Questions that a host's columns cannot answer exactly: narrowed down in SQL to rows too many rather than too few.

Folding is Unicode's, and no database's. So a text is compared as far as it is ASCII, and anything may stand for the
rest; the few characters beside ASCII that fold to ASCII are let through.
"""

from __future__ import annotations

from collections.abc import Callable

from keyaccount import phones
from keyaccount.queries import Test
from keyaccount.shapes import Many, Shape, Text
from keyaccount.storage.hosts import Reading
from keyaccount.values import fold

_LONGEST = 200
_SEVERAL = 50


def narrowed(bind: Callable[[str], str], reading: Reading, shape: Shape, column: str, test: Test) -> str | None:
    """Return a condition that holds of all rows that may meet a test on a rough field; None where none is known."""
    if test.op == "dialled":
        return _dialled(bind, reading, column, [end for key in sorted(test.value) for end in _ends(key)])
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
        found.append(_dialled(bind, reading, column, [f"%{digits[:_LONGEST]}%"]))
    return " OR ".join(found)


def is_number(key: object) -> bool:
    """Say whether a key is how a whole number is written, so that one of a host's numbers may be it."""
    if not isinstance(key, str) or len(key) > 19 or not key.isascii():  # noqa: PLR2004 - the digits of 64 bits
        return False
    digits = key.removeprefix("-")
    return digits.isdecimal() and key == str(int(key)) and abs(int(key)) < 1 << 63


def _alike(bind: Callable[[str], str], reading: Reading, column: str, patterns: list[str]) -> str:
    lower = reading.lower.format("n.v")
    matches = [f"{lower} LIKE {bind(pattern)} ESCAPE '\\'" for pattern in patterns]
    return _any_of(column, [*matches, reading.special.format("n.v")])


def _like(folded: str) -> str:
    """Write a folded text as a pattern: what is beside ASCII, and what JSON escapes, may be anything."""
    sure = "".join(c if " " <= c <= "~" and c not in '"\\/' else "\0" for c in folded[:_LONGEST])
    escaped = sure.replace("%", "\\%").replace("_", "\\_").replace("\0", "%")
    return escaped if len(folded) <= _LONGEST else f"{escaped}%"


def _any_of(column: str, holds: list[str]) -> str:
    """Ask for any of some conditions on a column that is worked out once: it may be a question itself.

    The limit keeps SQLite from putting the column's expression in the place of each mention.
    """
    return f"EXISTS (SELECT 1 FROM (SELECT {column} AS v LIMIT 1) n WHERE {' OR '.join(holds)})"


def _ends(key: str) -> list[str]:
    """Write a lookup key as patterns of lists of numbers without the signs between digits: one ends with its digits.

    A number is also found without a zero at its end, which stands for the extension. Short keys are of short numbers.
    """
    size, _, digits = key.partition(":")
    before = ("",) if int(size) > phones.SHORT_KEY else ('"', '"_', '"__')
    return [f'%{start}{digits}{end}"%' for start in before for end in ("", "0")]


def _dialled(bind: Callable[[str], str], reading: Reading, column: str, patterns: list[str]) -> str:
    """Ask for lists of numbers with some digits in a row, whatever stands between; other signs may mean any number."""
    holds = [f"n.w LIKE {bind(pattern)}" for pattern in patterns]
    bare = f"SELECT m.v, {reading.bare.format('m.v')} AS w FROM (SELECT {column} AS v LIMIT 1) m LIMIT 1"
    return f"EXISTS (SELECT 1 FROM ({bare}) n WHERE {' OR '.join([*holds, reading.odd.format('n.v')])})"
