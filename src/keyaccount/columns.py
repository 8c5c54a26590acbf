"""How the columns of a table become fields of records: the mapping a caller states, checked once, applied row by row.

A target is a field (`name`), a part of a value (`addresses.town`, `addresses.billing.town`, `lines.quantity`), an
external reference (`refs.erp`), a value of the host's own (`extra.colour`), or `currency`, for the amounts of the row.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeAlias

import attrs

from keyaccount.catalogue import Kind
from keyaccount.errors import KeyAccountError, Problem, ValidationError, nearest, shown
from keyaccount.model.entity import Entity
from keyaccount.model.organisations import PURPOSES
from keyaccount.money import Money, exact
from keyaccount.shapes import (
    Amount,
    Choice,
    Day,
    Degrees,
    Exact,
    Flag,
    Many,
    Moment,
    Number,
    One,
    Pairs,
    Rank,
    Shape,
    Text,
    Whole,
    shapes_of,
)
from keyaccount.sheets import Forms, day, number

CURRENCY = "currency"
_YES = frozenset({"1", "true", "t", "yes", "y", "x", "ja", "j", "wahr"})
_NO = frozenset({"0", "false", "f", "no", "n", "nein", "falsch"})
_LISTED = 6

Convert: TypeAlias = Callable[[Any], Any] | Mapping[Any, Any]


@attrs.frozen
class Column:
    """Where a column goes, and how its cells are converted first; made by `ka.column`."""

    targets: tuple[str, ...]
    convert: Convert | None = None


def column(*targets: str, convert: Convert | None = None) -> Column:
    """Say where a column of a table goes: to one field or several, converted first by a mapping or a function.

    >>> column("addresses.country", convert={"Germany": "DE"}).targets
    ('addresses.country',)

    A cell that the mapping does not hold, and one for which the function raises, is a bad one. Raises ValidationError.
    """
    if not targets or not all(isinstance(target, str) for target in targets):
        raise ValidationError.of("column", "targets", targets, "must be names of fields")
    if convert is not None and not callable(convert) and not isinstance(convert, Mapping):
        raise ValidationError.of("column", "convert", convert, "must be a mapping or a function")
    return Column(targets, convert)


@attrs.frozen
class Target:
    """One place that a cell goes to: the field, the part of a value in it, and the shape of what is kept there."""

    field: str
    part: str
    key: str
    shape: Shape


@attrs.frozen
class Source:
    """One column: its name, its place in a row, where it goes, and how it is converted."""

    name: str
    place: Any
    targets: tuple[Target, ...]
    convert: Convert | None


@attrs.frozen
class Bad:
    """A cell that cannot be taken: the column, the cell, and why."""

    column: str
    cell: Any
    reason: str


class Plan:
    """A checked mapping from columns to the fields of one kind."""

    def __init__(
        self, kind: Kind, columns: Mapping[str, Any], fixed: Mapping[str, Any], *, part_of: str | None = None
    ) -> None:
        """Check every target and fixed value; `part_of` makes it a plan for the values of one field of the kind.

        Raises ValidationError that names the nearest right names.
        """
        self.kind, self.fixed, self.by_name = kind, dict(fixed), True
        known = {*_writable(kind), CURRENCY}
        problems = [
            Problem(kind.name, str(name), "", f"is no field{nearest(name, known)}")
            for name in fixed
            if name not in known
        ]
        self.sources = tuple(_sources(kind, columns, part_of, problems))
        if problems:
            raise ValidationError(problems)

    def bound(self, header: Sequence[str]) -> Plan:
        """Return the plan with each column's place in rows of this header."""
        other = Plan.__new__(Plan)
        other.kind, other.fixed, other.by_name = self.kind, self.fixed, False
        other.sources = tuple(attrs.evolve(source, place=header.index(source.name)) for source in self.sources)
        return other

    @property
    def fields(self) -> frozenset[str]:
        """The fields of the record that the mapping fills."""
        own = {target.field for source in self.sources for target in source.targets} | set(self.fixed)
        return frozenset(own & set(_writable(self.kind)))

    @property
    def systems(self) -> tuple[str, ...]:
        """The systems whose external references the mapping fills."""
        return tuple(target.key for source in self.sources for target in source.targets if target.field == "refs")

    @property
    def repeated(self) -> frozenset[str]:
        """The fields of which each row holds one item, such as lines."""
        parts = {target.field for source in self.sources for target in source.targets if target.part}
        shapes = {field: self.kind.shapes[field] for field in parts}
        return frozenset(f for f, shape in shapes.items() if isinstance(shape, Many) and not shape.sought)

    def columns_of(self, field: str) -> list[Source]:
        """Return the columns that go to a field."""
        return [source for source in self.sources if any(target.field == field for target in source.targets)]

    def of_shape(self, *shapes: type[Shape]) -> list[Source]:
        """Return the columns with a target of one of some shapes, unless the caller converts them."""
        return [s for s in self.sources if s.convert is None and any(isinstance(t.shape, shapes) for t in s.targets)]

    def currency_of(self, cells: Any) -> str | None:
        """Return the currency that a row's amounts are in, where the row or the caller says so."""
        for source in self.sources:
            if any(target.field == CURRENCY for target in source.targets) and not _is_nothing(cells[source.place]):
                return str(cells[source.place]).strip()
        return self.fixed.get(CURRENCY)

    def fields_from(self, cells: Any, forms: Forms, bad: list[Bad], currency: str | None = None) -> dict[str, Any]:
        """Read the fields of one row; what cannot be read is added to `bad`. `currency` is of amounts without one."""
        found = _Fields(self.kind, self.fixed, forms, currency)
        for source in self.sources:
            cell = cells[source.place]
            try:
                converted = _converted(source.convert, cell)
                for target in source.targets if not _is_nothing(converted) else ():
                    found.add(target, converted, source.name, cell)
            except ValueError as error:
                bad.append(Bad(source.name, cell, _reason(error)))
        return found.finished(bad)


@functools.cache
def _writable(kind: Kind) -> dict[str, Shape]:
    derived = {name for name, _ in kind.derived} | {"version"}
    return {name: shape for name, shape in kind.shapes.items() if name not in derived}


def _sources(kind: Kind, columns: Mapping[str, Any], part_of: str | None, problems: list[Problem]) -> Iterator[Source]:
    for name, given in columns.items():
        told = given if isinstance(given, Column) else Column((given,) if isinstance(given, str) else given)
        if not isinstance(told.targets, (tuple, list)) or not all(isinstance(t, str) for t in told.targets):
            problems.append(
                Problem("columns", str(name), shown(given), "must be the name of a field, or ka.column(...)")
            )
            continue
        targets = []
        for text in told.targets:
            found = _target(kind, f"{part_of}.{text}" if part_of and text != CURRENCY else text)
            if isinstance(found, str):
                problems.append(Problem("columns", str(name), shown(text), found))
            else:
                targets.append(found)
        yield Source(str(name), name, tuple(targets), told.convert)


def _target(kind: Kind, text: str) -> Target | str:
    """Resolve the name of a target, or say why it is none."""
    field, *rest = text.split(".", 2)
    shapes = _writable(kind)
    if field == CURRENCY and CURRENCY not in shapes and not rest:
        return Target(CURRENCY, "", "", Text(limit=3)) if _has_amounts(shapes.values()) else "has no amounts"
    shape = shapes.get(field)
    if shape is None:
        return f"is no field of {kind.name}{nearest(field, [*shapes, CURRENCY])}"
    item = shape.item if isinstance(shape, Many) else shape
    if isinstance(shape, Pairs):
        key = text.partition(".")[2]
        return Target(field, "", key, Text()) if key else f"needs a key: {field}.<your own name>"
    if not isinstance(item, One) or (item.convert is not None and not rest):
        return Target(field, "", "", item) if not rest else f"has no parts; use {field}"
    return _part(field, item, rest)


def _part(field: str, item: One, rest: Sequence[str]) -> Target | str:
    parts = shapes_of(item.of)
    key, part = rest if len(rest) == 2 else ("", rest[0] if rest else "")  # noqa: PLR2004 - a key and a part
    if key and not ("purpose" in parts and key in PURPOSES):
        return f"has no part {key!r}{nearest(key, [*parts, *PURPOSES])}"
    shape = parts.get(part)
    if shape is None:
        listed = ", ".join(f"{field}.{name}" for name in list(parts)[:_LISTED])
        return f"needs one of its parts, such as {listed}{nearest(part, parts)}"
    return Target(field, part, key, shape)


def _has_amounts(shapes: Iterable[Shape]) -> bool:
    for shape in shapes:
        item = shape.item if isinstance(shape, Many) else shape
        if isinstance(item, Amount) or (isinstance(item, One) and _has_amounts(shapes_of(item.of).values())):
            return True
    return False


def _converted(convert: Convert | None, cell: Any) -> Any:
    if convert is None or _is_nothing(cell):
        return cell
    if isinstance(convert, Mapping):
        if cell not in convert:
            raise ValueError(f"is none of the values given to convert{nearest(cell, map(str, convert))}")
        return convert[cell]
    try:
        return convert(cell)
    except Exception as error:
        raise ValueError(f"cannot be converted: {type(error).__name__}") from error


def _is_nothing(cell: Any) -> bool:
    if cell is None or (isinstance(cell, str) and not cell):
        return True
    return (isinstance(cell, float) and math.isnan(cell)) or type(cell).__name__ in _NOTHING


_NOTHING = frozenset({"NaTType", "NAType"})


def _reason(error: ValueError) -> str:
    return error.problems[0].reason if isinstance(error, ValidationError) and error.problems else str(error)


@attrs.frozen
class _Pending:
    """An amount that waits for the row's currency."""

    value: Decimal
    column: str
    cell: Any


class _Fields:
    """The fields of one row on their way in."""

    def __init__(self, kind: Kind, fixed: Mapping[str, Any], forms: Forms, currency: str | None) -> None:
        self._kind, self._forms, self._currency = kind, forms, currency
        self._values: dict[str, Any] = {}
        self._parts: dict[str, dict[str, dict[str, Any]]] = {}
        self._from: dict[tuple[str, str, str], tuple[str, Any]] = {}
        for name, value in fixed.items():
            if name == CURRENCY and CURRENCY not in _writable(kind):
                self._currency = value
            else:
                self._values[name] = value

    def add(self, target: Target, cell: Any, column: str, raw: Any) -> None:
        """Take a cell; raise ValueError where it cannot be read."""
        if target.field == CURRENCY and CURRENCY not in _writable(self._kind):
            self._currency = str(cell).strip()
            return
        item = target.shape.item if isinstance(target.shape, Many) else target.shape
        many = isinstance(target.shape, Many)
        value = cell if isinstance(item, One) else read(item, cell, self._forms)
        if isinstance(value, Decimal) and isinstance(item, Amount):
            value = _Pending(value, column, raw)
        if target.part:
            self._from[target.field, target.key, target.part] = (column, raw)
            place = self._parts.setdefault(target.field, {}).setdefault(target.key, {})
            place[target.part] = tuple(value.splitlines()) if many and isinstance(value, str) else value
        elif isinstance(self._kind.shapes[target.field], Pairs):
            self._values[target.field] = {**self._values.get(target.field, {}), target.key: value}
        elif isinstance(self._kind.shapes[target.field], Many):
            self._values[target.field] = (*self._values.get(target.field, ()), value)
        else:
            self._values[target.field] = value

    def finished(self, bad: list[Bad]) -> dict[str, Any]:
        """Put amounts and values together; what does not fit is added to `bad`."""
        values = {name: self._amount(value, bad) for name, value in self._values.items()}
        for field, keyed in self._parts.items():
            shape = self._kind.shapes[field]
            cls = (shape.item if isinstance(shape, Many) else shape).of  # type: ignore[attr-defined]
            made = []
            for key, parts in keyed.items():
                own = {name: self._amount(value, bad) for name, value in parts.items()}
                try:
                    made.append(cls(**({"purpose": key} if key else {}), **own))
                except ValidationError as error:
                    for problem in error.problems:
                        came = self._from.get((field, key, problem.field), (f"{field}.{problem.field}", problem.value))
                        bad.append(Bad(*came, problem.reason))
            values[field] = tuple(made) if isinstance(shape, Many) else made[0] if made else None
        return values

    def _amount(self, value: Any, bad: list[Bad]) -> Any:
        if not isinstance(value, _Pending):
            return value
        if self._currency is None:
            bad.append(Bad(value.column, value.cell, "has no currency; map a column to currency, or fix one"))
            return None
        try:
            return Money(value.value, self._currency)
        except ValidationError as error:
            bad.append(Bad(value.column, value.cell, _reason(error)))
            return None


# ---- cells -----------------------------------------------------------------------------------------------------------


def read(shape: Shape, cell: Any, forms: Forms) -> Any:
    """Read one cell as a shape wants it: text by its form, a value of a data frame as it is.

    Raises ValueError with the reason where it cannot be read. An amount without its currency comes back as a Decimal.
    """
    if isinstance(shape, (Amount, Exact, Degrees, Whole, Number)):
        return _number(shape, cell, forms)
    if isinstance(shape, Flag):
        return _flag(cell)
    if isinstance(shape, Day):
        return _day(cell, forms)
    if isinstance(shape, Moment):
        return _moment(cell, forms)
    if isinstance(shape, Choice):
        word = _text(cell).strip()
        return next((known for known in shape.words if known.casefold() == word.casefold()), word)
    if isinstance(shape, Rank):
        name = _text(cell).strip().upper()
        return getattr(shape.of, name) if name in shape.of.__members__ else cell
    return _text(cell)


def _text(cell: Any) -> str:
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1 << 53:
        return str(int(cell))
    if isinstance(cell, (date, datetime)):
        return cell.isoformat()
    return str.__str__(cell) if isinstance(cell, str) else str(cell)


def _number(shape: Shape, cell: Any, forms: Forms) -> Any:
    if isinstance(cell, Money):
        return cell
    value = _decimal(cell, forms)
    if value is None:
        form = f" with the decimal sign {forms.decimal!r}" if isinstance(cell, str) else ""
        raise ValueError(f"is no number{form}")
    if isinstance(shape, (Whole, Number)):
        if value != value.to_integral_value():
            raise ValueError("is no whole number")
        return int(value)
    return value


def _decimal(cell: Any, forms: Forms) -> Decimal | None:
    if isinstance(cell, str):
        return number(cell.strip(), forms.decimal)
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
    if value is None or abs(Decimal(cell) - value) > Decimal("0.000001"):
        raise ValueError(f"is no number with {forms.decimals} decimals")
    return value


def _flag(cell: Any) -> bool:
    if isinstance(cell, bool):
        return cell
    word = _text(cell).strip().casefold()
    if word in _YES or word in _NO:
        return word in _YES
    raise ValueError("is neither yes nor no")


def _day(cell: Any, forms: Forms) -> date:
    if isinstance(cell, datetime):
        if cell.time() != cell.time().min:
            raise ValueError("is a moment, not a day")
        return date(cell.year, cell.month, cell.day)
    if isinstance(cell, date):
        return cell
    found = day(_text(cell).strip(), forms.dates)
    if found is None:
        raise ValueError(f"is no day in the form {forms.dates!r}")
    return found


def _moment(cell: Any, forms: Forms) -> datetime:
    found = cell if isinstance(cell, datetime) else None
    if found is None:
        try:
            found = datetime.fromisoformat(_text(cell).strip())
        except ValueError:
            raise ValueError("is no moment such as 2026-11-21T09:30") from None
    if type(found) is not datetime:
        found = datetime.fromisoformat(found.isoformat())
    return found if found.utcoffset() is not None else found.replace(tzinfo=forms.zone)


def record_of(plan: Plan, values: Mapping[str, Any], bad: list[Bad], cells: Any) -> Entity | None:
    """Make the record of a row; what its rules refuse is added to `bad`, by the column it came from."""
    if bad:
        return None
    try:
        return plan.kind.cls(**values)
    except ValidationError as error:
        for problem in error.problems:
            given = [source for source in plan.columns_of(problem.field) if not _is_nothing(cells[source.place])]
            sources = given or plan.columns_of(problem.field)
            name = sources[0].name if sources else problem.field
            bad.append(Bad(name, cells[sources[0].place] if sources else problem.value, problem.reason))
    except KeyAccountError as error:
        bad.append(Bad(plan.kind.name, "", str(error)))
    return None
