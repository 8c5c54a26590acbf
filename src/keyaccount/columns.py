"""How the columns of a table become fields of records: the mapping a caller states, checked once, applied row by row.

A target is a field (`name`), a part of a value (`addresses.town`, `addresses.billing.town`, `lines.quantity`), an
external reference (`refs.erp`), a value of the host's own (`extra.colour`), or `currency`, for the amounts of the row.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import attrs

from keyaccount.catalogue import Kind
from keyaccount.errors import KeyAccountError, Problem, ValidationError, nearest, shown
from keyaccount.model.entity import Entity
from keyaccount.model.organisations import PURPOSES
from keyaccount.money import CURRENCIES, Money
from keyaccount.readings import Convert, as_text, converted, is_nothing, reader_for, reason_of
from keyaccount.shapes import Amount, Many, One, Pairs, Shape, Text, shapes_of
from keyaccount.sheets import Forms

CURRENCY = "currency"
_LISTED = 6


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
    """One place that a cell goes to: the field, the part of a value in it, and the shape of what is kept there.

    `many` says that several cells may go there, one after the other.
    """

    field: str
    part: str
    key: str
    shape: Shape
    many: bool = False

    @property
    def name(self) -> str:
        """What the caller wrote."""
        return ".".join(filter(None, (self.field, self.key, self.part)))


@attrs.frozen
class Source:
    """One column: its name, its place in a row, where it goes, and how it is converted."""

    name: str
    place: Any
    targets: tuple[Target, ...]
    convert: Convert | None


@attrs.frozen
class Bad:
    """A cell that cannot be taken: the column, the cell, why, and the field it was for."""

    column: str
    cell: Any
    reason: str
    field: str = ""


class Plan:
    """A checked mapping from columns to the fields of one kind."""

    def __init__(
        self, kind: Kind, columns: Mapping[str, Any], fixed: Mapping[str, Any], *, part_of: str | None = None
    ) -> None:
        """Check every target and fixed value; `part_of` makes it a plan for the values of one field of the kind.

        Raises ValidationError that names the nearest right names.
        """
        problems: list[Problem] = []
        self.kind, self.by_name = kind, True
        self.sources = tuple(_sources(kind, columns, part_of, problems))
        problems += _doubled(self.sources)
        problems += _wrongly_fixed(kind, fixed)
        if problems:
            raise ValidationError(problems)
        self._values = {name: value for name, value in fixed.items() if name in _writable(kind)}
        self._currency: str | None = None if CURRENCY in _writable(kind) else fixed.get(CURRENCY)
        fields = {target.field for source in self.sources for target in source.targets} | self._values.keys()
        self.fields = frozenset(fields & _writable(kind).keys())
        self.systems = tuple(t.key for source in self.sources for t in source.targets if t.field == "refs")
        self.repeated = frozenset(f for f in self.fields if _is_repeated(kind.shapes[f]) and f not in self._values)

    def bound(self, header: Sequence[str]) -> Plan:
        """Return the plan with each column's place in rows of this header."""
        other = copy.copy(self)
        other.by_name = False
        other.sources = tuple(attrs.evolve(source, place=header.index(source.name)) for source in self.sources)
        return other

    @property
    def known_by(self) -> str:
        """The column by which records are known; nothing where several make the id."""
        named = [(t.field, s.name) for s in self.sources for t in s.targets if t.field in ("id", "refs")]
        return min(named)[1] if named else ""

    def columns_of(self, field: str) -> list[Source]:
        """Return the columns that go to a field."""
        return [source for source in self.sources if any(target.field == field for target in source.targets)]

    def of_shape(self, *shapes: type[Shape]) -> list[Source]:
        """Return the columns with a target of one of some shapes, unless the caller converts them."""
        return [s for s in self.sources if s.convert is None and any(isinstance(t.shape, shapes) for t in s.targets)]

    def blamed(self, field: str, value: Any, cells: Any, forms: Forms) -> tuple[str, Any]:
        """Return the column, and the cell in it, that a field's value came from; the field itself where none did."""
        given = [source for source in self.columns_of(field) if not is_nothing(cells[source.place])]
        several = given if len(given) > 1 else []
        wrong = [source for source in several if _is_refused(source, field, cells[source.place], forms)]
        found = [*wrong, *given, *self.columns_of(field)]
        return (found[0].name, cells[found[0].place]) if found else (field, value)

    def currency_of(self, cells: Any) -> str | None:
        """Return the currency that a row's amounts are in, where the row or the caller says so."""
        try:
            return self._currency_of(cells) or self._currency
        except ValueError:
            return None

    def _currency_of(self, cells: Any) -> str | None:
        for source in self.sources:
            if source.targets[0].field == CURRENCY and CURRENCY not in self.fields:
                return _currency(converted(source.convert, cells[source.place]))
        return None

    def fields_from(self, cells: Any, forms: Forms, bad: list[Bad], currency: str | None = None) -> dict[str, Any]:
        """Read the fields of one row; what cannot be read is added to `bad`. `currency` is of amounts without one."""
        row = _Row(self, forms, bad, currency or self._currency)
        for source in self.sources:
            cell = cells[source.place]
            if cell is None:
                continue
            target = source.targets[0]
            try:
                value = cell if source.convert is None else converted(source.convert, cell)
                for target in source.targets if not is_nothing(value) else ():
                    row.add(target, value, source.name, cell)
            except Exception as error:  # noqa: BLE001 - a value that a frame or a conversion gave may raise anything
                bad.append(Bad(source.name, cell, reason_of(error), target.field))
                row.failed.update((each.field, each.key) for each in source.targets)
        return row.finished()


@functools.cache
def _writable(kind: Kind) -> dict[str, Shape]:
    derived = {name for name, _ in kind.derived} | {"version"}
    return {name: shape for name, shape in kind.shapes.items() if name not in derived}


def _sources(kind: Kind, columns: Mapping[str, Any], part_of: str | None, problems: list[Problem]) -> Iterator[Source]:
    """Yield what columns go to, the currency first, because amounts need it."""
    found = []
    for name, given in columns.items():
        told = given if isinstance(given, Column) else Column((given,) if isinstance(given, str) else given)
        if not isinstance(told.targets, (tuple, list)) or not told.targets or not all(map(_is_text, told.targets)):
            reason = "must be the name of a field, or ka.column(...)"
            problems.append(Problem("columns", str(name), shown(given), reason))
            continue
        targets = []
        for text in told.targets:
            target = _target(kind, f"{part_of}.{text}" if part_of and text != CURRENCY else text)
            if isinstance(target, str):
                problems.append(Problem("columns", str(name), shown(text), target))
            else:
                targets.append(target)
        found.append(Source(str(name), name, tuple(targets), told.convert))
    yield from sorted(found, key=lambda source: all(target.field != CURRENCY for target in source.targets))


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _doubled(sources: Sequence[Source]) -> Iterator[Problem]:
    """Yield a problem for every place that two columns go to, where there is room for one."""
    taken: dict[str, str] = {}
    for source in sources:
        for target in source.targets:
            if not target.many and (first := taken.setdefault(target.name, source.name)) is not source.name:
                reason = f"is where the column {first!r} goes too"
                yield Problem("columns", source.name, shown(target.name), reason)


def _wrongly_fixed(kind: Kind, fixed: Mapping[str, Any]) -> Iterator[Problem]:
    shapes = _writable(kind)
    for name, value in fixed.items():
        if name in shapes:
            reason = _refusal(shapes[name], value)
        elif name == CURRENCY and _has_amounts(shapes.values()):
            reason = None if _is_text(value) and value in CURRENCIES else f"is no currency{nearest(value, CURRENCIES)}"
        else:
            reason = f"is no field{nearest(name, {*shapes, CURRENCY})}"
        if reason is not None:
            yield Problem(kind.name, name, shown(value), reason)


def _refusal(shape: Shape, value: Any) -> str | None:
    try:
        return shape.reason(shape.normal(value))
    except Exception as error:  # noqa: BLE001 - a foreign value may raise anything
        return f"cannot be read: {type(error).__name__}"


def _is_repeated(shape: Shape) -> bool:
    return isinstance(shape, Many) and not shape.sought


def _is_refused(source: Source, field: str, cell: Any, forms: Forms) -> bool:
    """Say whether one column's cell alone would be refused by a field that several columns go to."""
    try:
        value = converted(source.convert, cell)
        return any(
            target.shape.reason(target.shape.normal(_made(target, value, forms))) is not None
            for target in source.targets
            if target.field == field
        )
    except ValueError:
        return True


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
        kept = Text() if shape.texts else Shape()
        return Target(field, "", key, kept) if key else f"needs a key: {field}.<your own name>"
    if not isinstance(item, One) or (item.convert is not None and not rest):
        return Target(field, "", "", item, isinstance(shape, Many)) if not rest else f"has no parts; use {field}"
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
    return Target(field, part, key, shape.item if isinstance(shape, Many) else shape, isinstance(shape, Many))


def _has_amounts(shapes: Iterable[Shape]) -> bool:
    for shape in shapes:
        item = shape.item if isinstance(shape, Many) else shape
        if isinstance(item, Amount) or (isinstance(item, One) and _has_amounts(shapes_of(item.of).values())):
            return True
    return False


def _currency(cell: Any) -> str | None:
    """Read the currency of a row's amounts; raise ValueError for what is none."""
    code = "" if is_nothing(cell) else as_text(cell).strip()
    if code and code not in CURRENCIES:
        raise ValueError(f"is no ISO 4217 currency{nearest(code, CURRENCIES)}")
    return code or None


class _Row:
    """The fields of one row on their way in; `failed` are those that a cell could not be read for."""

    def __init__(self, plan: Plan, forms: Forms, bad: list[Bad], currency: str | None) -> None:
        self._plan, self._forms, self._bad, self._currency = plan, forms, bad, currency
        self._values: dict[str, Any] = dict(plan._values)
        self._parts: dict[str, dict[str, dict[str, Any]]] = {}
        self._from: dict[tuple[str, str, str], tuple[str, Any]] = {}
        self.failed: set[tuple[str, str]] = set()

    def add(self, target: Target, cell: Any, column: str, raw: Any) -> None:
        """Take a cell; raise ValueError where it cannot be read."""
        field = target.field
        if field == CURRENCY and CURRENCY not in self._plan.fields:
            self._currency = _currency(cell) or self._currency
            return
        value = _made(target, cell, self._forms)
        if isinstance(value, Decimal) and isinstance(target.shape, Amount):
            value = self._money(value, column, raw, target)
        if value is None:
            return
        if target.part:
            self._from.setdefault((field, target.key, target.part), (column, raw))
            held: dict[str, Any] = self._parts.setdefault(field, {}).setdefault(target.key, {})
            held[target.part] = (*held.get(target.part, ()), *_items(value)) if target.many else value
        elif target.key:
            self._values[field] = {**self._values.get(field, {}), target.key: value}
        elif target.many:
            self._values[field] = (*self._values.get(field, ()), *_items(value))
        else:
            self._values[field] = value

    def finished(self) -> dict[str, Any]:
        """Put values of several parts together and return all fields; what does not fit is noted as bad."""
        for field, keyed in self._parts.items():
            shape = self._plan.kind.shapes[field]
            many = isinstance(shape, Many)
            made = [
                one
                for key, parts in keyed.items()
                if (field, key) not in self.failed and (one := self._value(field, key, parts)) is not None
            ]
            self._values[field] = tuple(made) if many else made[0] if made else None
        return self._values

    def _value(self, field: str, key: str, parts: Mapping[str, Any]) -> Any:
        shape: Any = self._plan.kind.shapes[field]
        cls = getattr(shape, "item", shape).of
        try:
            return cls(**({"purpose": key} if key else {}), **parts)
        except ValidationError as error:
            for problem in error.problems:
                column, cell = self._from.get((field, key, problem.field)) or self._empty(field, key, problem.field)
                self._bad.append(Bad(column, cell, problem.reason, field))
            return None

    def _empty(self, field: str, key: str, part: str) -> tuple[str, Any]:
        """Return the column that goes to a part, which held nothing in this row; else the part's own name."""
        name = ".".join(filter(None, (field, key, part)))
        for source in self._plan.sources:
            if any(target.name == name for target in source.targets):
                return source.name, ""
        return name, ""

    def _money(self, value: Decimal, column: str, raw: Any, target: Target) -> Money | None:
        """Make money of an amount; where the row's currency is bad, that is said once, and not at each amount."""
        if self._currency is not None:
            return Money(value, self._currency)
        sources = [] if CURRENCY in self._plan.fields else self._plan.columns_of(CURRENCY)
        if (CURRENCY, "") not in self.failed:
            name, cell = (sources[0].name, "") if sources else (column, raw)
            reason = (
                "is required beside an amount"
                if sources
                else "has no currency; map a column to currency, or give fixed={'currency': ...}"
            )
            self._bad.append(Bad(name, cell, reason, CURRENCY))
            self.failed.add((CURRENCY, ""))
        self.failed.add((target.field, target.key))
        return None


def _items(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)


# ---- cells -----------------------------------------------------------------------------------------------------------


def _made(target: Target, cell: Any, forms: Forms) -> Any:
    """Read a cell for a target; a blank one holds nothing, save in a text. Raises ValueError."""
    if target.many and isinstance(cell, (list, tuple)):
        return tuple(_made(attrs.evolve(target, many=False), one, forms) for one in cell)
    if target.many and target.part and isinstance(cell, str):
        return tuple(cell.splitlines())
    sort: Any = type(target.shape)
    try:
        return reader_for(sort)(target.shape, cell, forms)
    except ValueError:
        if isinstance(cell, str) and not cell.strip():
            return None
        raise


# ---- records ---------------------------------------------------------------------------------------------------------


def record_of(plan: Plan, values: Mapping[str, Any], bad: list[Bad], cells: Any, forms: Forms) -> Entity | None:
    """Make the record of a row; what its rules refuse is added to `bad`, by the column it came from.

    Where cells are bad already, what is wrong with other fields is added, so that all of a row is known at once.
    """
    known = {each.field for each in bad}
    try:
        record = plan.kind.cls(**values)
    except ValidationError as error:
        for problem in error.problems:
            sound = plan.kind.shapes[problem.field].reason(values.get(problem.field)) is None
            if not known or not (problem.field in known or sound):
                column, cell = plan.blamed(problem.field, values.get(problem.field), cells, forms)
                many = isinstance(plan.kind.shapes[problem.field], Many)
                reason = (
                    problem.reason.rpartition(", which ")[2] if many else problem.reason
                )  # of the cell, not the list
                bad.append(Bad(column, cell, reason, problem.field))
    except KeyAccountError as error:
        bad.append(Bad(plan.kind.name, "", str(error)))
    else:
        return None if bad else record
    return None
