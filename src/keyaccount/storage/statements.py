"""Statements that are made once for each form of question, and kept: between calls their values alone are new.

The form is all that a text depends on: kinds, fields and operations of the conditions, order, place, page, and what
sort of reader asks. A text holds no value, so that one that is kept shows nothing of who asked before.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import attrs

from keyaccount.access import Reader
from keyaccount.catalogue import KINDS, Kind
from keyaccount.queries import Query, Test
from keyaccount.shapes import Pairs, Shape
from keyaccount.storage.dialects import Dialect
from keyaccount.storage.restriction import sort_of
from keyaccount.storage.sql import Recipe, Select, pairs_asked, several, sound

_MOST = 1_000
"""So many statements are kept; a host asks in a few hundred forms."""

_FEW = 100
"""So many records, or accounts that records hang on, are few: their claims are looked up one by one."""


@attrs.frozen
class _Kept:
    """A statement with what it takes: the parameter, the number of the query, and how that gives its value."""

    text: str
    takes: tuple[tuple[str, int, Recipe], ...]


_kept: dict[Hashable, _Kept] = {}


def statement(queries: Sequence[Query], parameters: dict[str, Any], dialect: Dialect) -> str:
    """Return the statement that answers one query, or several; what it takes goes to `parameters`.

    Several are of one reader, or restricted by none. Their rows come as `keyaccount.storage.sql.several` says.
    """
    form = _form(queries, dialect)
    kept = None if form is None else _kept.get(form)
    if kept is None:
        return _made(queries, parameters, dialect, form)
    for name, number, recipe in kept.takes:
        parameters[name] = sound(recipe(queries[number]))
    return kept.text


def reader_of(queries: Iterable[Query]) -> Reader | None:
    """Return the reader that restricts some of the queries, of which there is one; None where nothing is restricted."""
    return next((query.reader for query in queries if query.reader is not None), None)


def _made(queries: Sequence[Query], parameters: dict[str, Any], dialect: Dialect, form: Hashable | None) -> str:
    """Make a statement, and keep it where other values can take the place of all that it binds."""
    before = len(parameters)
    few = _look_at_few(queries)
    selects = [Select(query, parameters, dialect, few=few) for query in queries]
    text = several(selects) if len(selects) > 1 else selects[0].rows()
    takes = tuple((name, n, recipe) for n, select in enumerate(selects) for name, recipe in select.takes)
    if form is not None and len(takes) == len(parameters) - before:
        if len(_kept) >= _MOST:
            _kept.clear()
        _kept[form] = _Kept(text, takes)
    return text


def _form(queries: Sequence[Query], dialect: Dialect) -> Hashable | None:
    """Return all that the text of a statement depends on; None where the values themselves decide about the text."""
    if any(_is_of_its_own(query, dialect) for query in queries):
        return None
    reader = reader_of(queries)
    sort = None if reader is None else sort_of(reader)
    return dialect, sort, _look_at_few(queries), tuple([_form_of(query) for query in queries])


def _is_of_its_own(query: Query, dialect: Dialect) -> bool:
    """Say whether the values of a query decide about its text: what is searched for, or finished on the rows."""
    if query.text is not None:
        return True
    return bool(dialect.sources) and any(field in dialect.rough(query.kind.name) for field, _ in query.where)


def _form_of(query: Query) -> Hashable:
    """Return what of one query decides about the text, but for the sort of its reader."""
    shapes = query.kind.shapes
    where = tuple([(field, test.op, _decides(shapes[field], test)) for field, test in query.where])
    place = None if query.after is None else tuple([rank for rank, _ in query.after[:-1]])
    page = query.order, query.limit is None, place, query.latest
    return query.kind, query.reader is None, query.right, page, where


def _decides(shape: Shape, test: Test) -> Hashable:
    """Return what of an operand decides about the text: never a value."""
    if test.op == "between":
        low, high = test.value
        return low is None, high is None
    single = test.op in _OF_SEVERAL and len(test.value) == 1
    if isinstance(shape, Pairs) and test.op in ("is", "one_of"):
        return pairs_asked(shape, test), single
    return single


def _look_at_few(queries: Iterable[Query]) -> bool:
    """Say whether queries look at few rows of which rights are asked: everyone may read what is on no account."""
    return all(_looks_at_few(query) for query in queries if query.reader is not None and query.kind.reach != "free")


def _looks_at_few(query: Query) -> bool:
    """Say whether a condition asks for few records: by their ids or numbers, or by what they hang on."""
    return any(
        test.op == "dialled"
        or (_picks(query.kind, field) and (test.op == "is" or (test.op in _OF_SOME and len(test.value) <= _FEW)))
        for field, test in query.where
    )


_OF_SOME = ("one_of", "above")
_OF_SEVERAL = (*_OF_SOME, "below", "dialled")


def _picks(kind: Kind, field: str) -> bool:
    """Say whether few records hold a value of a field; a user, a unit or a product can stand in most of them."""
    link = kind.link(field)
    return field in ("id", "refs") if link is None else KINDS[link.kind].reach != "free"
