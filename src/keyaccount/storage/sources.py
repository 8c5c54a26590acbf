"""Where a kind's records stand in a host's own tables: a SELECT, with columns named like the fields.

A source is checked as far as it can be without a database: kinds, fields, the sorts of columns. What its SELECT really
yields is looked at when the overlay opens.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import attrs

from keyaccount.catalogue import KINDS, Kind, kind_of
from keyaccount.errors import Problem, ValidationError, nearest, shown
from keyaccount.model.entity import Entity
from keyaccount.money import SCALE
from keyaccount.shapes import Amount, Ident, Refer
from keyaccount.values import FrozenMap

_PLACE = re.compile(r"(?<![:\w]):\w")
UNCHANGED = frozenset({"version"})
"""Fields that are no host's: the library counts its own writes."""


@attrs.frozen
class IntKey:
    """A column of whole numbers that are keys: an id, or a reference to one.

    Ids are text here; `"42"` is the record with the key 42, and `"042"` none. The number of a condition is what is
    converted, so that the host's own index serves it.
    """


@attrs.frozen
class TextKey:
    """A column of text that is a key: an id, or a reference to one, compared byte by byte.

    Keys need not be named so; but then a column is read as text whatever it holds, and the host's index does not serve.
    """


@attrs.frozen
class Scaled:
    """A column of decimal numbers with at most so many places after the point: an amount of money.

    It is read exactly from whatever the host's database keeps them as: NUMERIC, whole numbers, or the text that some
    programs store in SQLite. An amount with more places is taken for none.
    """

    places: int = SCALE

    def __attrs_post_init__(self) -> None:
        """Refuse more places than money has here."""
        if isinstance(self.places, bool) or not isinstance(self.places, int) or not 0 <= self.places <= SCALE:
            raise ValidationError.of("Scaled", "places", self.places, f"must be a whole number from 0 to {SCALE}")


Sort: TypeAlias = IntKey | TextKey | Scaled


def _frozen(columns: Mapping[str, Sort]) -> Mapping[str, Sort]:
    return FrozenMap(columns) if isinstance(columns, Mapping) else columns


@attrs.frozen
class Source:
    """A kind whose records are read from the host's own tables, in place.

    `select` is a SELECT of the integrator's: its columns are named like the kind's fields and left as they are, neither
    cast nor converted. Fields that it does not yield are ours, and kept beside the host's row. Money needs a column
    `currency`, or one for each amount (`net_currency`). Lists and values (`phones`, `addresses`, `payments`) are JSON,
    as `to_dict()` writes them. `columns` says what is no plain text, number, day or flag.

    >>> from keyaccount.model.organisations import Organisation
    >>> Source(Organisation, "SELECT id, name FROM party", columns={"id": IntKey()}).kind.name
    'Organisation'
    """

    _kind: type[Entity]
    select: str
    columns: Mapping[str, Sort] = attrs.field(factory=dict, converter=_frozen)

    def __attrs_post_init__(self) -> None:
        """Refuse what is no kind, no SELECT, or a column that cannot be of its sort."""
        problems = list(self._problems(kind_of(self._kind)))
        if problems:
            raise ValidationError(problems)

    @property
    def rows(self) -> str:
        """The SELECT as a table in a statement, whatever it ends with."""
        return f"({self.select}\n)"

    @property
    def kind(self) -> Kind:
        """The catalogue's row of the kind."""
        return kind_of(self._kind)

    def _problems(self, kind: Kind) -> Iterator[Problem]:
        where = f"Source of {kind.name}"
        words = self.select.split(maxsplit=1) if isinstance(self.select, str) else []
        if not words or words[0].upper() not in ("SELECT", "WITH") or ";" in self.select:
            yield Problem(where, "select", shown(self.select), "must be one SELECT statement, without a semicolon")
        elif _PLACE.search(self.select):
            yield Problem(where, "select", shown(self.select), "must not hold ':name', which is a place for a value")
        if not isinstance(self.columns, Mapping):
            yield Problem(where, "columns", shown(self.columns), "must be a mapping from fields to sorts of columns")
            return
        for field, sort in self.columns.items():
            shape = kind.shapes.get(field) if isinstance(field, str) else None
            if shape is None:
                yield Problem(where, "columns", shown(field), f"is no field{nearest(field, kind.shapes)}")
            elif not isinstance(sort, (IntKey, TextKey, Scaled)):
                yield Problem(where, field, shown(sort), "must be an IntKey(), a TextKey() or a Scaled(2)")
            elif not isinstance(shape, Amount if isinstance(sort, Scaled) else (Ident, Refer)):
                yield Problem(where, field, shown(sort), f"is no sort of column for {kind.name}.{field}")


def given_fields(source: Source, found: Collection[str]) -> frozenset[str]:
    """Return the fields that a SELECT yields, by the names of the columns that were found.

    Raises ValidationError for columns that are no field, for fields that are always ours, and without an id.
    """
    kind = source.kind
    where, problems = f"Source of {kind.name}", []
    derived = {name for name, _ in kind.derived}
    amounts = {name for name, shape in kind.shapes.items() if isinstance(shape, Amount)}
    beside = {f"{name}_currency" for name in amounts} | ({"currency"} if amounts else set())
    for name in found:
        if name not in beside and (name not in kind.shapes or name in derived | UNCHANGED):
            known = (kind.shapes.keys() - derived - UNCHANGED) | beside
            reason = "is worked out here" if name in derived | UNCHANGED else f"is no field{nearest(name, known)}"
            problems.append(Problem(where, name, "", reason))
    fields = frozenset(found) & kind.shapes.keys() - derived
    missing = [name for name in ("id", *source.columns) if name not in fields]
    problems += [Problem(where, name, "", "is no column of the SELECT") for name in dict.fromkeys(missing)]
    for name in sorted(amounts & fields):
        if not {f"{name}_currency", "currency"} & set(found):
            problems.append(Problem(where, name, "", "needs a column 'currency' beside it"))
    required = {name for name, shape in kind.shapes.items() if isinstance(shape, Refer) and shape.required}
    problems += [Problem(where, name, "", "is required") for name in sorted(required - fields)]
    if kind.name == "Invoice":
        needed = {"issued_on", "net"} - fields
        problems += [Problem(where, name, "", "is required: totals are made of it") for name in sorted(needed)]
    if problems:
        raise ValidationError(problems)
    return fields


def by_kind(sources: Iterable[Source]) -> dict[str, Source]:
    """Return sources by the names of their kinds; raise ValidationError for two of one kind, and for none at all."""
    found: dict[str, Source] = {}
    given: Any = sources
    if not isinstance(given, (list, tuple)) or not given:
        raise ValidationError.of("Overlay", "sources", given, "must be a list of Source(...)")
    for source in given:
        if not isinstance(source, Source):
            raise ValidationError.of("Overlay", "sources", source, "must be a Source(...)")
        if source.kind.name in found:
            raise ValidationError.of("Overlay", "sources", source.kind.name, "has two sources")
        found[source.kind.name] = source
    return {name: found[name] for name in KINDS if name in found}
