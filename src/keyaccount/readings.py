"""What one cell of a table says: text by the form it is written in, a value of a data frame as it is."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, TypeAlias
from uuid import UUID

from keyaccount.errors import ValidationError, nearest
from keyaccount.money import Money, exact
from keyaccount.shapes import (
    Amount,
    Choice,
    Day,
    Degrees,
    Exact,
    Flag,
    Ident,
    Moment,
    Number,
    One,
    Rank,
    Refer,
    Shape,
    Text,
    Whole,
)
from keyaccount.sheets import Forms, day, moment, number

_YES = frozenset({"1", "true", "t", "yes", "y", "x", "ja", "j", "wahr", "oui", "vrai"})
_NO = frozenset({"0", "false", "f", "no", "n", "nein", "falsch", "non", "faux"})
_SUGGESTED = 1_000
_EXACT_FLOATS = 1 << 53
_NEAR = Fraction(1, 1_000_000)

Convert: TypeAlias = Callable[[Any], Any] | Mapping[Any, Any]
"""How a caller converts the cells of a column: by a mapping, or a function."""


def converted(convert: Convert | None, cell: Any) -> Any:
    """Return what the caller's conversion makes of a cell; raise ValueError where it makes nothing of it."""
    if convert is None or is_nothing(cell):
        return cell
    try:
        if not isinstance(convert, Mapping):
            return convert(cell)
        if cell in convert:
            return convert[cell]
        known = [*map(str, convert)] if len(convert) <= _SUGGESTED else []
    except Exception as error:
        raise ValueError(f"cannot be converted: {type(error).__name__}") from error
    raise ValueError(f"is none of the values given to convert{nearest(cell, known)}")


def is_nothing(cell: Any) -> bool:
    """Say whether a cell holds nothing: no text, or what data frames write where there is no value."""
    sort = type(cell)  # a foreign object may say anything of itself
    if cell is None or issubclass(sort, str):
        return cell is None or not str.__len__(cell)
    if issubclass(sort, float):
        return bool(cell != cell)  # noqa: PLR0124 - a NaN
    return cell.is_nan() if issubclass(sort, Decimal) else sort.__name__ in _NOTHING


_NOTHING = frozenset({"NaTType", "NAType"})


def reason_of(error: Exception) -> str:
    """Say why a cell could not be read."""
    if isinstance(error, ValidationError) and error.problems:
        return error.problems[0].reason
    return str(error) if type(error) is ValueError else f"cannot be read: {type(error).__name__}"


@functools.cache
def reader_for(sort: type[Shape]) -> Callable[[Any, Any, Forms], Any]:
    """Return what reads a cell for a shape of a sort: text by its form, a value of a data frame as it is.

    It raises ValueError with the reason where a cell cannot be read; an amount comes back without its currency.
    """
    if issubclass(sort, (Text, Refer, Ident)):
        return lambda _, cell, __: cell if type(cell) is str else as_text(cell)
    if issubclass(sort, Day):
        return lambda _, cell, forms: _day(cell, forms)
    if issubclass(sort, (Amount, Exact, Degrees)):
        return lambda _, cell, forms: _number(cell, forms)
    if issubclass(sort, (Whole, Number)):
        return lambda _, cell, forms: _whole(cell, forms)
    if issubclass(sort, Flag):
        return lambda _, cell, __: _flag(cell)
    if issubclass(sort, Moment):
        return lambda _, cell, forms: _moment(cell, forms)
    if issubclass(sort, Choice):
        return lambda shape, cell, _: _word(shape, cell)
    if issubclass(sort, Rank):
        return lambda shape, cell, _: shape.of.__members__.get(as_text(cell).strip().upper(), cell)
    return lambda _, cell, __: cell if issubclass(sort, One) else _json(cell)


def _word(shape: Choice, cell: Any) -> str:
    word = as_text(cell).strip()
    return next((known for known in shape.words if known.casefold() == word.casefold()), word)


def as_text(cell: Any) -> str:
    """Return a cell as text, without the zero of a float that is a whole number; raise ValueError for no text."""
    if isinstance(cell, str):
        return str.__str__(cell)
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < _EXACT_FLOATS:
        return str(int(cell))
    if isinstance(cell, (date, datetime)):
        return cell.isoformat()
    if isinstance(cell, (bool, int, float, Decimal, UUID)):
        return str(cell)
    raise ValueError(f"is no text but a {type(cell).__name__}")


def _json(cell: Any) -> Any:
    """Keep what a host's own value may be; a whole number that a frame made a float is one again."""
    if cell is None or isinstance(cell, (bool, int, list, tuple, Mapping)):
        return cell
    if isinstance(cell, float):
        return int(cell) if cell.is_integer() and abs(cell) < _EXACT_FLOATS else cell
    return as_text(cell)


def _number(cell: Any, forms: Forms) -> Any:
    if isinstance(cell, Money):
        return cell
    value = _decimal(cell, forms)
    if value is None:
        form = f" with the decimal sign {forms.decimal!r}" if isinstance(cell, str) else ""
        raise ValueError(f"is no number{form}")
    return value


def _whole(cell: Any, forms: Forms) -> int:
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < _EXACT_FLOATS:
        return int(cell)
    value = _number(cell, forms)
    if isinstance(value, Money) or value != int(value):
        raise ValueError("is no whole number")
    return int(value)


def _decimal(cell: Any, forms: Forms) -> Decimal | None:
    if isinstance(cell, str):
        return number(str.__str__(cell).strip(), forms.decimal)
    if isinstance(cell, bool):
        return None
    if isinstance(cell, float):
        return _from_float(cell, forms)
    return exact(cell)


def _from_float(cell: float, forms: Forms) -> Decimal:
    """Take a float for the decimal number that it stands for, where it says so clearly enough."""
    if forms.decimals is None:
        raise ValueError("is a float; say with how many decimals=")
    if not abs(cell) < 1e12:  # noqa: PLR2004 - an infinity too
        raise ValueError("is too large")
    value = exact(f"{cell:.{forms.decimals}f}")
    if value is None or abs(Fraction(cell) - Fraction(value)) > _NEAR:
        raise ValueError(f"is no number with {forms.decimals} decimals")
    return value


def _flag(cell: Any) -> bool:
    if isinstance(cell, bool):
        return cell
    word = as_text(cell).strip().casefold()
    if word in _YES or word in _NO:
        return word in _YES
    raise ValueError("is neither yes nor no, in a language known here; convert it with ka.column(..., convert=)")


def _day(cell: Any, forms: Forms) -> date:
    if isinstance(cell, datetime):
        if cell.time() != cell.time().min:
            raise ValueError("is a moment, not a day")
        return date(cell.year, cell.month, cell.day)
    if isinstance(cell, date):
        return cell
    found = day(as_text(cell).strip(), forms.dates)
    if found is None:
        raise ValueError(f"is no day in the form {forms.dates!r}")
    return found


def _moment(cell: Any, forms: Forms) -> datetime:
    found = cell if isinstance(cell, datetime) else moment(as_text(cell).strip(), forms.dates)
    if found is None:
        raise ValueError("is no moment such as 2026-11-21T09:30")
    if type(found) is not datetime:
        found = datetime.fromisoformat(found.isoformat())
    return found if found.utcoffset() is not None else found.replace(tzinfo=forms.zone)
