"""What every answer can do: show itself in a terminal and a notebook, and turn into plain data."""

from __future__ import annotations

import enum
import functools
import importlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, ClassVar, Generic, Literal, TypeVar, overload

import attrs

from keyaccount.errors import MissingExtra, ValidationError
from keyaccount.pages import facts_page, rows_page

T_co = TypeVar("T_co", covariant=True)
Backend = Literal["pandas", "polars", "pyarrow"]


class Result:
    """The base of answers and records: a short `repr`, `to_dict()` and a notebook form.

    `also` names properties that belong in `to_dict()` beside the fields.
    """

    __slots__ = ()
    also: ClassVar[tuple[str, ...]] = ()

    def __repr__(self) -> str:
        """Show the fields that say something; text is escaped as Python escapes it."""
        usual = {field.name: field.default for field in _attributes(type(self))}
        told = (f"{name}={value!r}" for name, value in _fields(self) if not _goes_without_saying(value, usual[name]))
        return f"{type(self).__name__}({', '.join(told)})"

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types: money as amount and currency, dates as ISO text, ranks by name."""
        return {name: plain(getattr(self, name)) for name in (*(f for f, _ in _fields(self)), *self.also)}

    def _repr_html_(self) -> str:
        """Show the same facts in a notebook, escaped; nothing is loaded from anywhere."""
        return facts_page(self.to_dict())


class Rows(Result, Generic[T_co]):
    """The base of answers that are rows: iteration, `len()`, indexing, `to_frame()`."""

    __slots__ = ()

    def _rows(self) -> tuple[T_co, ...]:
        """Return the rows: the field called `rows`."""
        rows: tuple[T_co, ...] = self.rows  # type: ignore[attr-defined]
        return rows

    def __iter__(self) -> Iterator[T_co]:
        """Iterate over the rows."""
        return iter(self._rows())

    def __len__(self) -> int:
        """Count the rows."""
        return len(self._rows())

    @overload
    def __getitem__(self, index: int) -> T_co: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[T_co, ...]: ...
    def __getitem__(self, index: int | slice) -> T_co | tuple[T_co, ...]:
        """Return one row by its place, or several."""
        return self._rows()[index]

    def to_frame(self, backend: Backend = "pandas") -> Any:
        """Return the rows as a data frame of the named package.

        Raises MissingExtra where that package is not installed, ValidationError for another name.
        """
        return frame([plain(row) for row in self._rows()], backend)

    def _repr_html_(self) -> str:
        return rows_page([plain(row) for row in self._rows()])


def frame(rows: Sequence[Mapping[str, Any]], backend: str, names: Sequence[str] = ()) -> Any:
    """Make a data frame of plain rows in one of the three packages; nested values stay Python objects or text."""
    if backend not in ("pandas", "polars", "pyarrow"):
        raise ValidationError.of("to_frame", "backend", backend, "must be 'pandas', 'polars' or 'pyarrow'")
    try:
        package = importlib.import_module(backend)
    except ImportError:
        raise MissingExtra(backend) from None
    columns = {name: [_cell(row.get(name)) for row in rows] for name in (rows[0] if rows else names)}
    if backend == "pyarrow":
        return package.table(columns)
    return package.DataFrame(columns)


def _goes_without_saying(value: Any, usual: Any) -> bool:
    """Say whether a field tells nothing: empty, or a flag as usual."""
    if value is None or value in ((), ""):
        return True
    return bool(value == usual and (value is True or not value))


def _cell(value: Any) -> Any:
    import json

    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else value


def plain(value: Any) -> Any:
    """Turn any value of this library into plain JSON types."""
    if value is None or isinstance(value, (str, bool, float)):
        return value
    if isinstance(value, enum.Enum):
        return value.name.lower()
    if isinstance(value, int):
        return value
    if isinstance(value, (Decimal, Fraction)):
        return str(value)
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    if isinstance(value, Result):
        return value.to_dict()
    if attrs.has(type(value)):
        return {name: plain(item) for name, item in _fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (Sequence, set, frozenset)):
        return [plain(item) for item in value]
    return str(value)


def _attributes(cls: Any) -> tuple[Any, ...]:
    found: tuple[Any, ...] = attrs.fields(cls)
    return found


def _fields(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the public fields of an attrs value, its id first where it has one."""
    cls: Any = type(value)
    for name in _names(cls):
        yield name, getattr(value, name)


@functools.cache
def _names(cls: Any) -> tuple[str, ...]:
    names = [field.name for field in _attributes(cls) if not field.name.startswith("_")]
    return tuple(sorted(names, key=lambda name: name != "id"))
