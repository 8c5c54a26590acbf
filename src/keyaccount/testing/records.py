"""Records made from the shapes: every field takes every value that an adapter could get wrong.

Nothing here knows a kind by name, save for a few words that give a field its meaning: a new kind, or a new field, is
covered as soon as it stands in the catalogue.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any, cast

import attrs

from keyaccount.catalogue import Kind
from keyaccount.errors import ValidationError
from keyaccount.model.entity import Entity, evolved
from keyaccount.model.rights import DEPUTY, KEY_ACCOUNT_MANAGER, TEAM_MEMBER
from keyaccount.money import Money
from keyaccount.shapes import (
    Amount,
    Choice,
    Day,
    Degrees,
    Exact,
    Flag,
    Ident,
    Many,
    Moment,
    Number,
    One,
    Pairs,
    PhoneNumber,
    Rank,
    Refer,
    Shape,
    Text,
    Whole,
    shapes_of,
)
from keyaccount.values import FrozenMap

TODAY = date(2026, 11, 21)
NOW = datetime(2026, 11, 21, 12, 30, 15, 250_000, tzinfo=UTC)
_ODD = timedelta(microseconds=1)

IDS = (
    *(
        "a",
        "A",
        "a ",
        " a",
        "\u00e9",
        "e\u0301",
        "\u00df",
        "ss",
        "SS",
        "0",
        "00",
        "1",
        "1.0",
        "10",
        "9",
        "null",
        "None",
    ),
    *("x'); DROP TABLE organisation;--", "%", "_", "\\", '"', "{id}", "[]", "a/b", "\U0001f600", "\uffee", "\u0131"),
    *("\u0130", "i", "I", "\ufb01", "\u202ea", "\u200b", "\u00a0", "z" * 200),
)
"""Ids that are different, however much some databases think that they are not."""

TEXTS = (
    *(
        "",
        "a",
        "A",
        "b",
        "Stra\u00dfe",
        "STRASSE",
        "\u00e9",
        "e\u0301",
        " padded ",
        "10",
        "9",
        "1e5",
        "0",
        "None",
        "{}",
    ),
    *('O\'Brien "x" \\ `y` --;', "100%", "under_score", "{0} %s ${x}", "<b>&amp;</b>", "=1+1", "\u202eabc", "NULL"),
    *("\U0001f600", "\uffee", "\u0130\u0131", "\ufb01", "\u0663", "\u200b", "line\nbreak\r\n\ttab", "long " * 150),
    *("DE", "US", "EUR", "CHF", "documents.invoice", "documents", "crm", "key-1_x"),
)
_PHONES = ("+49 89 1234-0", "089 1234567", "0049 (0)89 / 12 34", "(171) 555-7788", "+1 800 FLOWERS", "112", "Pforte 12")
_WORDS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("Assignment", "role"): (KEY_ACCOUNT_MANAGER, DEPUTY, TEAM_MEMBER, "auditor"),
    ("Activity", "kind"): ("call", "meeting", "e-mail", "note"),
}
_JSON: tuple[Any, ...] = (
    *(1, True, False, None, 0, -1, 2**200, 0.1, 1e300, 1.5, "", "1", "true", 'O\'Brien "x" \\', "\U0001f600\n\t"),
    *((), (1, True, None, "x"), FrozenMap(), FrozenMap({"b": (1, FrozenMap({"c": None})), "a": "\u00e9"})),
)
_KEYS = ("k", "K", "a.b", "a b", "\u00e9", "e\u0301", "$", "x' OR 1=1", '"', "\\", "0", "[0]", "\U0001f600")
_DAYS = (date(1, 1, 1), date(1969, 12, 31), date(2024, 2, 29), TODAY - timedelta(1), TODAY, TODAY + timedelta(1))
_MOMENTS = (datetime(1, 1, 4, tzinfo=UTC), datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC), NOW - _ODD, NOW)
_DEGREES = tuple(map(Decimal, ("0", "-0.5", "48.1371079", "11.50", "90", "-90", "0.0000001")))
_NO_VERSION = 1
_WHOLE = (0, 1, -1, 10**16, -(10**16))
_AMOUNTS = tuple(Money.of_units(units, c) for c in ("EUR", "JPY") for units in (0, 1, 125_000, -5_000, 10**16))


@functools.cache
def samples(shape: Shape) -> tuple[Any, ...]:
    """Return the values worth trying in a field of a shape, nothing included where it may hold nothing."""
    found = [None, *_candidates(shape)]
    return tuple(shape.normal(value) for value in found if shape.reason(shape.normal(value)) is None)


def _candidates(shape: Shape) -> Iterable[Any]:
    if isinstance(shape, PhoneNumber):
        return _PHONES
    if isinstance(shape, Text):
        return TEXTS
    if isinstance(shape, (Ident, Refer)):
        return (*IDS, *TEXTS)
    if isinstance(shape, Choice):
        return shape.words
    if isinstance(shape, (Flag, Number)):
        return (False, True) if isinstance(shape, Flag) else (_NO_VERSION,)
    if isinstance(shape, Rank):
        return tuple(shape.of)
    if isinstance(shape, (Degrees, Exact)):
        return _DEGREES
    if isinstance(shape, Whole):
        return _WHOLE
    if isinstance(shape, Amount):
        return _AMOUNTS
    if isinstance(shape, (Day, Moment)):
        return (
            (*_DAYS, date.max)
            if isinstance(shape, Day)
            else (*_MOMENTS, NOW + _ODD, datetime(9999, 12, 29, tzinfo=UTC))
        )
    return _composed(shape)


def _composed(shape: Shape) -> Iterable[Any]:
    """Return mappings, value objects, and tuples of them."""
    if isinstance(shape, Pairs):
        values = TEXTS if shape.texts else _JSON
        ones = [FrozenMap({key: values[n % len(values)]}) for n, key in enumerate(_KEYS)]
        ones += [FrozenMap({"k": value}) for value in values]
        several = FrozenMap({key: values[-n - 1] for n, key in enumerate(_KEYS)})
        return (FrozenMap(), *ones, FrozenMap(dict(reversed(list(several.items())))), several)
    if isinstance(shape, One):
        return tuple(_valid(shape.of, Random(1), 200))[:12]  # noqa: S311 - the same samples each time
    if isinstance(shape, Many):
        items = [item for item in samples(shape.item) if item is not None]
        return ((), *((item,) for item in items), (*items[:3], *items[:1]), tuple(reversed(items[:9])))
    raise NotImplementedError(f"no samples for a {type(shape).__name__}")


def field_samples(kind: Kind, field: str) -> tuple[Any, ...]:
    """Return the values worth trying in one field of a kind."""
    more = _WORDS.get((kind.name, field), ())
    return (*more, *samples(kind.shapes[field]))


def stored_fields(kind: Kind) -> list[str]:
    """Return the fields a record is made of, without its id and its version."""
    derived = {name for name, _ in kind.derived}
    return [field for field in kind.shapes if field not in derived | {"id", "version"}]


@functools.cache
def bases(kind: Kind) -> tuple[Entity, ...]:
    """Return valid records of a kind that differ in which fields hold nothing; the one with the least comes first."""
    found: dict[tuple[bool, ...], Entity] = {}
    for record in _valid(kind.cls, Random(2), 1_200, kind):  # noqa: S311 - the same records each time
        row = cast("Entity", record)
        held = tuple(bool(getattr(row, field)) for field in stored_fields(kind))
        found.setdefault(held, row)
    ranked = sorted(found.items(), key=lambda item: sum(item[0]))
    return tuple(row for _, row in (*ranked[:12], *ranked[-12:]))


def _valid(cls: type, random: Random, tries: int, kind: Kind | None = None) -> Iterator[Any]:
    """Yield what a class takes of random values; ever more fields of it are given."""
    shapes = {name: shape for name, shape in shapes_of(cls).items() if name != "version"}
    if kind is not None:
        del shapes["id"]
    usual = {item.name: item.default for item in attrs.fields(cls)}
    for count in range(tries):
        given = {
            name: random.choice(field_samples(kind, name) if kind else samples(shape))
            for name, shape in shapes.items()
            if random.random() * tries < count or shape.reason(usual[name]) is not None
        }
        try:
            yield cls(**given)
        except ValidationError:
            continue


@functools.cache
def every_value(kind: Kind) -> tuple[Entity, ...]:
    """Return records of a kind in which every field takes each of its sample values, under the oddest ids."""
    found = [bases(kind)[0], bases(kind)[-1]]
    for field in stored_fields(kind):
        for number, value in enumerate(field_samples(kind, field)):
            found += _with(bases(kind), field, value, number)
    return tuple(numbered(kind, found))


def some(kind: Kind, count: int) -> list[Entity]:
    """Return a few records of a kind in which values recur, so that there are ties and fields that hold nothing."""
    random = Random(count)  # noqa: S311 - the same records each time
    found: list[Entity] = []
    while len(found) < count:
        row = random.choice(bases(kind))
        for field in stored_fields(kind):
            if random.random() < 0.6:
                values = field_samples(kind, field)
                row = next(iter(_with((row,), field, values[random.randrange(len(values)) % 7], 0)), row)
        found.append(row)
    return numbered(kind, found)


def _with(rows: tuple[Entity, ...], field: str, value: Any, number: int) -> list[Entity]:
    """Return the first of some records that takes a value in a field, begun at a number; nothing where none does."""
    for step in range(len(rows)):
        try:
            return [evolved(rows[(number + step) % len(rows)], {field: value})]
        except ValidationError:
            continue
    return []


def numbered(kind: Kind, rows: Iterable[Entity]) -> list[Entity]:
    """Give records of a kind ids of their own, odd ones first, and their first version."""
    odd = [id for id in dict.fromkeys((*IDS, *TEXTS)) if kind.shapes["id"].reason(id) is None]
    return [_numbered(row, odd[n] if n < len(odd) else "", n) for n, row in enumerate(rows)]


def _numbered(row: Entity, id: str, number: int) -> Entity:
    """Give a record an id; a plain one where it already refers to a record of that id."""
    try:
        return evolved(row, {"id": id, "version": 1})
    except ValidationError:
        return evolved(row, {"id": f"row-{number * 7919 % 10_007}", "version": 1})


def large(kind: Kind) -> Entity:
    """Return a record whose host keeps as much in `extra` as is allowed: many entries, and long ones."""
    many: dict[str, Any] = {f"key {n} \u00e9": n for n in range(900)}
    return evolved(
        bases(kind)[0], {"id": "large", "version": 1, "extra": FrozenMap(many | {"long": "\U0001f600" * 70_000})}
    )


def exact(value: Any) -> Any:
    """Return a value in a form that is equal only where nothing at all differs: 1 is neither True nor 1.0.

    Two things do not count: the order of a mapping's keys, and how many zeros end a decimal number.
    """
    if isinstance(value, Mapping):
        return {key: exact(value[key]) for key in sorted(value)}
    if attrs.has(type(value)):
        return (type(value).__name__, {f.name: exact(getattr(value, f.name)) for f in attrs.fields(type(value))})
    if isinstance(value, (list, tuple)):
        return (type(value).__name__, [exact(item) for item in value])
    return (type(value).__name__, value.normalize() if isinstance(value, Decimal) else repr(value))
