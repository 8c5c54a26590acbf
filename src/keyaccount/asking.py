"""What may be asked of a storage: conditions, orders, pages, and the query that holds them, as plain values."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple, TypeAlias

import attrs

from keyaccount import access
from keyaccount.catalogue import Kind
from keyaccount.errors import Problem, ValidationError, nearest, shown
from keyaccount.model.entity import Entity
from keyaccount.model.rights import Right
from keyaccount.shapes import Choice, Day, Flag, Ident, Many, Moment, Number, Rank, Refer, Shape, Text, Whole

Key: TypeAlias = tuple[Any, ...]
"""Where a row stands in an order: a (rank, scalar) pair for each ordered field, then the id. Plain JSON inside."""


@attrs.frozen
class Test:
    """What a condition asks of a field: the operation and its operand."""

    op: str
    value: Any = None


def between(low: Any, high: Any) -> Test:
    """Ask for values from `low` to `high`, both included."""
    return Test("between", (low, high))


def at_least(low: Any) -> Test:
    """Ask for values of `low` or more; an open end is more than any day."""
    return Test("at_least", low)


def at_most(high: Any) -> Test:
    """Ask for values of `high` or less; an open start is less than any day."""
    return Test("at_most", high)


def one_of(values: Iterable[Any]) -> Test:
    """Ask for any of the given values; none of none."""
    if not isinstance(values, (list, tuple, set, frozenset)):
        raise ValidationError.of("condition", "one_of", values, "must be a list, tuple or set")
    return Test("one_of", tuple(values))


is_none = Test("is_none")
"""Ask for records where the field holds nothing."""


def above(ids: Iterable[str]) -> Test:
    """Ask for the records with these ids and everything above them in the kind's forest (for the rules)."""
    return Test("above", tuple(ids))


def below(ids: Iterable[str]) -> Test:
    """Ask for the records with these ids and everything below them in the kind's forest (for the rules)."""
    return Test("below", tuple(ids))


def dialled(keys: Iterable[str]) -> Test:
    """Ask for records with a phone number under one of these lookup keys (for the rules)."""
    return Test("dialled", frozenset(keys))


CLOSURES = ("above", "below")
_INNER = ("dialled", *CLOSURES)


@attrs.frozen
class Query:
    """A question to a storage.

    `where` are conditions by field, all of which must hold. `reader` restricts to what it may read (None: a trusted
    desk), and to accounts and contacts it holds `right` on. `text` searches, best match first. `order` are fields,
    descending where True; ties go by id. `after` is the place of the last row seen.

    `latest` are two fields, a reference and a day or moment: of all rows that meet the conditions and share the former,
    only those with the latest of the latter answer. Rows that hold nothing in either are none of them.
    """

    kind: Kind
    where: tuple[tuple[str, Test], ...] = ()
    text: str | None = None
    reader: access.Reader | None = None
    right: Right = Right.READ
    order: tuple[tuple[str, bool], ...] = ()
    limit: int | None = None
    after: Key | None = None
    latest: tuple[str, str] | None = None

    @property
    def asks_nothing(self) -> bool:
        """Whether no row can answer: none is wanted, or one of no values at all."""
        return self.limit == 0 or any(test.op in _OF_SEVERAL and not test.value for _, test in self.where)

    @property
    def is_arranged(self) -> bool:
        """Whether somebody asked for an order, or for a page, which needs one."""
        return bool(self.order) or self.limit is not None or self.after is not None or self.text is not None


_OF_SEVERAL = ("one_of", "above", "below", "dialled")


@attrs.frozen
class Window:
    """A span over one field of days or moments: from `start` up to, but not including, `end`; None is no border.

    A record lies in it by its field. One that holds nothing there lies in no window, unless nothing stands for an open
    start or end: that lies beyond every border on its side.
    """

    field: str
    start: date | None = None
    end: date | None = None


def _names(fields: Iterable[str]) -> tuple[str, ...]:
    return tuple(fields)


def _spans(windows: Iterable[Window]) -> tuple[Window, ...]:
    return tuple(windows)


@attrs.frozen
class Totals:
    """What is to be totalled of a query's rows: grouped by some fields, or all together where there are none.

    Each of the `windows` is a column: how many rows lie in it, unless they are not to be `counted`, and the exact sums
    of the fields `sums` over them. `lows` and `highs` are fields of which the lowest or highest value is wanted, over
    all rows.
    """

    by: tuple[str, ...] = attrs.field(default=(), converter=_names)
    windows: tuple[Window, ...] = attrs.field(default=(), converter=_spans)
    sums: tuple[str, ...] = attrs.field(default=(), converter=_names)
    lows: tuple[str, ...] = attrs.field(default=(), converter=_names)
    highs: tuple[str, ...] = attrs.field(default=(), converter=_names)
    counted: bool = True

    @property
    def fields(self) -> set[str]:
        """The fields that are looked at."""
        return {*self.by, *self.sums, *self.lows, *self.highs, *(window.field for window in self.windows)}


COUNTED = Totals()
"""How many rows there are, and nothing else."""


class Total(NamedTuple):
    """What the rows that share the values of the grouping fields come to.

    `count` is the number of all of them. `counts` and `sums` have one place for each window asked for, and without
    windows a single one for everything; `sums` holds there one exact number for each field summed. There are no
    `counts` where they were not asked for. `lows` and `highs` have one place for each field of which that was asked
    for: None where no row holds anything, and where an open start is the lowest or an open end the highest.
    """

    key: tuple[Any, ...]
    count: int  # type: ignore[assignment]  # which hides tuple.count
    counts: tuple[int, ...] = ()
    sums: tuple[tuple[int, ...], ...] = ()
    lows: tuple[Any, ...] = ()
    highs: tuple[Any, ...] = ()


def conditions(kind: Kind, given: Mapping[str, Any], *, inner: bool = False) -> tuple[tuple[str, Test], ...]:
    """Check conditions by field; raise one ValidationError that names every mistyped field and value.

    `inner` allows the tests that are for the rules: they look past what a reader sees.
    """
    problems: list[Problem] = []
    tests: list[tuple[str, Test]] = []
    for field, value in given.items():
        shape = kind.shapes.get(field)
        test = value if isinstance(value, Test) else is_none if value is None else Test("is", value)
        if shape is None:
            problems.append(Problem(kind.name, field, shown(value), f"is no field{nearest(field, kind.shapes)}"))
        elif refused := _refused(shape, test, inner=inner):
            problems.append(Problem(kind.name, field, *refused))
        else:
            tests.append((field, test))
    if problems:
        raise ValidationError(problems)
    return tuple(tests)


def _refused(shape: Shape, test: Test, *, inner: bool) -> tuple[str, str] | None:
    """Return which value of a condition is refused, as shown, and why; None where it can be asked."""
    why = None
    if test.op in _INNER:
        why = None if inner else "cannot be asked here"
    elif isinstance(shape, Many) and not shape.sought:
        why = "cannot be asked for"
    elif test.op in ("between", "at_least", "at_most") and (shape.many or not _scalar(shape)):
        why = "has no order; compare with a value"
    elif test.op != "is_none":
        values = test.value if test.op in ("one_of", "between") else (test.value,)
        return next(((shown(value), reason) for value in values if (reason := shape.operand(value))), None)
    return None if why is None else (shown(test.value), why)


def ordering(kind: Kind, order: str | Iterable[str] | None) -> tuple[tuple[str, bool], ...]:
    """Read an order: a field or several, with a minus for descending."""
    names = (order,) if isinstance(order, str) else tuple(order or ()) if isinstance(order, (list, tuple)) else order
    if names is None:
        return ()
    if not isinstance(names, tuple) or len(names) > 8:  # noqa: PLR2004 - nobody orders by more
        raise ValidationError.of(kind.name, "order", order, "must be a field, or a few")
    return _ordering(kind, names) if all(type(name) is str for name in names) else _read_order(kind, names)


@functools.lru_cache(1_000)
def _ordering(kind: Kind, names: tuple[str, ...]) -> tuple[tuple[str, bool], ...]:
    """Remember the orders that are asked for: few, and in each call."""
    return _read_order(kind, names)


def _read_order(kind: Kind, names: tuple[Any, ...]) -> tuple[tuple[str, bool], ...]:
    found = []
    for name in names:
        field = name.removeprefix("-") if isinstance(name, str) else name
        shape = kind.shapes.get(field) if isinstance(field, str) else None
        if shape is None:
            raise ValidationError.of(kind.name, "order", name, f"is no field{nearest(field, kind.shapes)}")
        if shape.many or not _scalar(shape):
            raise ValidationError.of(kind.name, "order", name, "has no order")
        found.append((field, name.startswith("-")))
    return tuple(found)


def check_totals(kind: Kind, asked: Totals) -> None:
    """Refuse what cannot be totalled, with every mistake; each adapter asks here before it answers."""
    problems = [
        *_refused_fields(kind, asked.by, groups, "has no order to group by"),
        *_refused_fields(kind, [w.field for w in asked.windows], _dated, "holds no days or moments"),
        *_refused_fields(kind, asked.sums, lambda shape: shape.adds_up, "cannot be added up exactly"),
        *_refused_fields(kind, dict.fromkeys((*asked.lows, *asked.highs)), _compares, "has no lowest and highest"),
    ]
    for window in asked.windows:
        shape = kind.shapes.get(window.field)
        if shape is not None and _dated(shape):
            given = [border for border in (window.start, window.end) if border is not None]
            borders = ((border, shape.reason(border)) for border in given)
            problems += [
                Problem(kind.name, window.field, shown(border), reason) for border, reason in borders if reason
            ]
    if problems:
        raise ValidationError(problems)


def check_fields(kind: Kind, fields: Collection[str]) -> None:
    """Refuse what is no field of a kind, with every mistake; each adapter asks here before it answers."""
    problems = list(_refused_fields(kind, fields, lambda _: True, ""))
    if problems:
        raise ValidationError(problems)


def _refused_fields(kind: Kind, fields: Iterable[str], fits: Callable[[Shape], bool], reason: str) -> Iterator[Problem]:
    for field in fields:
        shape = kind.shapes.get(field)
        if shape is None:
            yield Problem(kind.name, field, shown(field), f"is no field{nearest(field, kind.shapes)}")
        elif not fits(shape):
            yield Problem(kind.name, field, shown(field), reason)


def groups(shape: Shape) -> bool:
    """Say whether totals may be grouped by such a field: one that has an order, or a list of references."""
    return _compares(shape) or (isinstance(shape, Many) and isinstance(shape.item, Refer))


def _compares(shape: Shape) -> bool:
    return isinstance(shape, (Text, Ident, Refer, Choice, Flag, Number, Whole, Rank, Day, Moment))


def _dated(shape: Shape) -> bool:
    return isinstance(shape, (Day, Moment))


def key_order(key: tuple[Any, ...]) -> tuple[tuple[bool, Any], ...]:
    """Return what totals are ordered by: field by field their values, text by its characters, and nothing last."""
    return tuple((value is None, 0 if value is None else ordinal(value)) for value in key)


def _scalar(shape: Shape) -> bool:
    return type(shape).__name__ not in ("One", "Pairs")


def place(query: Query, row: Entity) -> Key:
    """Return where a row stands in the query's order."""
    return (*(_ranked(query.kind.shapes[field], getattr(row, field)) for field, _ in query.order), row.key)


def _ranked(shape: Shape, value: Any) -> tuple[int, Any]:
    """Order nothing after everything, but an open start before it."""
    if value is None:
        return (0 if isinstance(shape, Day) and shape.unbounded == "start" else 2, 0)
    return (1, ordinal(shape.measure(value)))


def ordinal(value: Any) -> Any:
    """Turn a comparable value into text or a whole number."""
    if isinstance(value, datetime):
        return (value - _EPOCH) // _MICROSECOND
    if isinstance(value, date):
        return value.toordinal()
    if isinstance(value, Decimal):  # a share: its digits stand in the order of its values
        return f"{value:f}"
    return value if isinstance(value, str) else int(value)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def cursor(query: Query, row: Entity) -> str:
    """Write down where a page ended, as opaque text; it holds nothing that the page did not show."""
    told = [query.kind.name, query.order, _fingerprint(query.where), place(query, row)]
    return base64.urlsafe_b64encode(json.dumps(told).encode()).decode()


def _fingerprint(where: tuple[tuple[str, Test], ...]) -> str:
    """Return what tells the conditions of one question from those of another."""
    told = sorted((f, t.op, sorted(map(repr, t.value)) if t.op == "one_of" else repr(t.value)) for f, t in where)
    return hashlib.sha256(repr(told).encode()).hexdigest()[:16]


def resume(query: Query, text: object) -> Key:
    """Read a cursor; raise ValidationError where it is none, or of another question."""
    kind, order = query.kind, query.order
    short = text if isinstance(text, str) and len(text) <= 100_000 else ""  # noqa: PLR2004 - longer than any cursor
    try:
        name, asked, conditions_then, found = json.loads(base64.urlsafe_b64decode(short.encode("ascii")))
        *ranks, last = found
        same = name == kind.name and tuple((f, d) for f, d in asked) == order
        same = same and conditions_then == _fingerprint(query.where)
        sound = isinstance(last, str) and len(ranks) == len(order) and all(map(_sound_rank, ranks))
    except (ValueError, TypeError, RecursionError):
        same = sound = False
    if not (same and sound):
        raise ValidationError.of(kind.name, "after", text, "is no cursor of this question")
    place = [_sound_key(kind.shapes[field], rank) for (field, _), rank in zip(order, ranks, strict=True)]
    if None in place:
        raise ValidationError.of(kind.name, "after", text, "is no cursor of this question")
    return (*place, last)


def _sound_rank(rank: Any) -> bool:
    return isinstance(rank, list) and len(rank) == 2 and rank[0] in (0, 1, 2) and isinstance(rank[1], (str, int))  # noqa: PLR2004


def _sound_key(shape: Shape, rank: list[Any]) -> tuple[int, Any] | None:
    textual = isinstance(shape, Text) or type(shape).__name__ in ("Ident", "Refer", "Choice", "Exact")
    wanted = str if textual and rank[0] == 1 else int
    if type(rank[1]) is not wanted or (rank[0] != 1 and rank[1] != 0):
        return None
    return (int(rank[0]), rank[1])
