"""Hypothesis strategies for every field and every record, made from the shapes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

from hypothesis import reject
from hypothesis import strategies as st

from keyaccount.catalogue import kind_of
from keyaccount.errors import ValidationError
from keyaccount.model.entity import Entity, evolved
from keyaccount.money import Money
from keyaccount.shapes import Amount, Day, Degrees, Exact, Many, Moment, One, Pairs, Shape, Text, shapes_of
from keyaccount.testing.records import bases, samples, stored_fields

E = TypeVar("E", bound=Entity)

_KEYS = st.text(min_size=1, max_size=8)
_SCALARS = st.none() | st.booleans() | st.integers(-(2**200), 2**200) | st.floats(allow_nan=False, allow_infinity=False)
_JSON = st.recursive(
    _SCALARS | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=6,
)
_FIRST, _LAST = datetime(1, 1, 4), datetime(9999, 12, 28)  # noqa: DTZ001 - hypothesis takes naive bounds


def values(shape: Shape) -> st.SearchStrategy[Any]:
    """Draw what a field of a shape may hold: the odd samples of the kit, or anything else that the shape takes."""
    known = samples(shape)
    more = _more(shape)
    if more is None:
        return st.sampled_from(known)
    taken = more.map(shape.normal).filter(lambda value: shape.reason(value) is None)
    return st.sampled_from(known) | taken if known else taken


def _more(shape: Shape) -> st.SearchStrategy[Any] | None:
    if isinstance(shape, Text):
        return st.text(max_size=min(shape.limit, 30)) if shape.pattern is None else None
    if isinstance(shape, Day):
        return st.dates()
    if isinstance(shape, Moment):
        return st.datetimes(_FIRST, _LAST, timezones=st.just(UTC))
    if isinstance(shape, Degrees):
        return st.decimals(-shape.bound, shape.bound, allow_nan=False, allow_infinity=False)
    if isinstance(shape, Amount):
        return st.builds(Money.of_units, st.integers(-(10**16), 10**16), st.sampled_from(("EUR", "JPY", "KWD")))
    if isinstance(shape, Exact):
        return st.decimals(shape.low, shape.high, allow_nan=False, places=6)
    if isinstance(shape, Pairs):
        return st.dictionaries(_KEYS, st.text(min_size=1, max_size=9) if shape.texts else _JSON, max_size=4)
    if isinstance(shape, Many):
        return st.lists(values(shape.item).filter(lambda value: value is not None), max_size=4).map(tuple)
    return _ones(shape.of) if isinstance(shape, One) else None


@st.composite
def _ones(draw: st.DrawFn, cls: type) -> Any:
    """Draw a value object."""
    given = {name: draw(values(shape)) for name, shape in shapes_of(cls).items()}
    try:
        return cls(**given)
    except ValidationError:
        reject()


def entities(cls: type[E], **given: st.SearchStrategy[Any]) -> st.SearchStrategy[E]:
    """Draw records of a kind; `given` are strategies for some of its fields, and what they draw is kept.

    A record starts as one of the kit's valid ones; of the values drawn for its other fields it takes those that its
    rules allow.
    """
    return cast("st.SearchStrategy[E]", _entities(cls, given))


@st.composite
def _entities(draw: st.DrawFn, cls: type[Entity], given: Mapping[str, st.SearchStrategy[Any]]) -> Entity:
    kind = kind_of(cls)
    try:
        record = evolved(draw(st.sampled_from(bases(kind))), {name: draw(one) for name, one in given.items()})
    except ValidationError:
        reject()
    free = [field for field in stored_fields(kind) if field not in given]
    for field in draw(st.lists(st.sampled_from(free), unique=True, max_size=6)):
        try:
            record = evolved(record, {field: draw(values(kind.shapes[field]))})
        except ValidationError:
            continue
    return record
