"""A statement that is kept for a form of question is the one that would be made for any other question of the form."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import attrs
import pytest

import keyaccount as ka
from keyaccount.access import AccessPolicy, Reader
from keyaccount.catalogue import KINDS, kind_of
from keyaccount.model.entity import Entity
from keyaccount.model.organogram import User
from keyaccount.queries import Query, above, conditions, dialled, is_none, one_of, ordering, place
from keyaccount.storage import statements
from keyaccount.storage.dialects import POSTGRESQL, SQLITE, Dialect
from keyaccount.storage.restriction import parameters
from keyaccount.storage.statements import statement
from keyaccount.values import FrozenMap

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
CLOSED = AccessPolicy(default=None)


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin without statements that other tests left."""
    monkeypatch.setattr(statements, "_kept", {})


def reader(id: str = "anna", policy: AccessPolicy = CLOSED, **more: Any) -> Reader:
    """Make a reader."""
    return Reader(User(id, name="U"), FrozenMap(), policy, NOW.date(), NOW, **more)


def asked(kind: type[Entity], order: str | None = None, **given: Any) -> Query:
    """Make a query with conditions."""
    made = kind_of(kind)
    where = {name: given.pop(name) for name in list(given) if name in made.shapes}
    return Query(made, conditions(made, where, inner=True), order=ordering(made, order), **given)


def behind(query: Query, row: Entity) -> Query:
    """Return the page of a query behind a row."""
    return attrs.evolve(query, after=place(query, row))


def of(query: Query, dialect: Dialect) -> tuple[str, dict[str, Any]]:
    """Return the statement of a query, with what it binds."""
    given = {} if query.reader is None else parameters(query.reader, dialect)
    return statement([query], given, dialect), given


def pairs() -> Iterator[tuple[Query, Query]]:
    """Yield questions of one form with different values."""
    day, later = date(2026, 1, 1), date(2026, 2, 2)
    organisation, link = ka.Organisation, ka.Link
    yield asked(organisation, id="a"), asked(organisation, id="b")
    yield asked(organisation, id=one_of(["a", "z"])), asked(organisation, id=one_of(["b", "c"]))
    yield asked(organisation, name="Straße"), asked(organisation, name="ACME")
    yield asked(organisation, refs={"erp": "1"}), asked(organisation, refs={"crm": "2"})
    yield asked(organisation, phones=dialled(["4:49", "4:50"])), asked(organisation, phones=dialled(["5:1", "5:2"]))
    yield asked(organisation, id=above(["a", "z"])), asked(organisation, id=above(["b", "c"]))
    yield asked(organisation, "name", limit=5), asked(organisation, "name", limit=6)
    yield asked(ka.User, unit_ids="a"), asked(ka.User, unit_ids="b")
    yield asked(ka.Activity, at=ka.between(NOW, NOW)), asked(ka.Activity, at=ka.between(NOW, datetime.now(UTC)))
    yield asked(ka.Assignment, valid_until=ka.at_least(day)), asked(ka.Assignment, valid_until=ka.at_least(later))
    yield asked(ka.Assignment, "-valid_from", reader=reader()), asked(ka.Assignment, "-valid_from", reader=reader("bo"))
    order = asked(link, "title", reader=reader())
    yield (
        behind(order, ka.Link("x", "o", kind="task", title="A")),
        behind(order, ka.Link("y", "o", kind="task", title="B")),
    )
    money = [ka.Money(n, currency) for n, currency in ((1, "EUR"), (2, "USD"))]
    yield asked(ka.Invoice, net=ka.at_least(money[0])), asked(ka.Invoice, net=ka.at_least(money[1]))


def strangers() -> Iterator[Query]:
    """Yield questions that look alike, each of a form of its own."""
    organisation = ka.Organisation
    yield from (asked(organisation), asked(organisation, reader=reader()), asked(organisation, limit=1))
    yield asked(organisation, reader=reader(policy=AccessPolicy()))
    yield asked(organisation, reader=reader(policy=AccessPolicy(stewards=["anna"]), steward=True))
    yield asked(organisation, reader=reader(), right=ka.Right.CHANGE)
    yield from (asked(organisation, id="a"), asked(organisation, id=one_of(["a"])), asked(organisation, id=is_none))
    yield asked(organisation, id="a", reader=reader())
    yield asked(organisation, id=one_of(["a"] * 99), reader=reader())
    yield asked(organisation, id=one_of(["a"] * 101), reader=reader())
    yield from (asked(organisation, parent_id="a"), asked(ka.Contact, id="a"))
    yield from (asked(organisation, id=above(ids)) for ids in (["a"], ["a", "b"]))
    yield from (asked(organisation, phones=dialled(keys)) for keys in (["4:49"], ["4:49", "5:1"]))
    yield from (asked(organisation, refs=refs) for refs in ({}, {"a": "1"}, {"a": "1", "b": "2"}))
    yield from (asked(ka.Activity, latest=fields) for fields in (None, ("organisation_id", "at"), ("by_id", "at")))
    yield from (asked(organisation, "name"), asked(organisation, "-name"), asked(organisation, ("sector")))
    yield from (behind(asked(organisation, "sector"), ka.Organisation("a", name="A", sector=s)) for s in (None, "s"))


@pytest.mark.parametrize("dialect", [SQLITE, POSTGRESQL], ids=lambda one: one.name)
@pytest.mark.parametrize(("first", "second"), list(pairs()))
def test_a_kept_statement_is_the_one_that_would_be_made(first: Query, second: Query, dialect: Dialect) -> None:
    """After another question of its form a question has the text and the values that it has when it comes first."""
    expected = of(second, dialect)
    statements._kept.clear()
    assert of(first, dialect)[0] == expected[0]
    assert len(statements._kept) == 1
    assert of(second, dialect) == expected
    assert len(statements._kept) == 1


@pytest.mark.parametrize("dialect", [SQLITE, POSTGRESQL], ids=lambda one: one.name)
def test_questions_of_different_forms_share_no_statement(dialect: Dialect) -> None:
    """What looks alike and is not has each its own text, whatever was asked before; on the second round too."""
    alone = []
    for query in strangers():
        statements._kept.clear()
        alone.append(of(query, dialect))
    assert len({text for text, _ in alone if text}) >= len(alone) - 1, "too many are of one text to tell them apart"
    statements._kept.clear()
    for _ in range(2):
        assert [of(query, dialect) for query in strangers()] == alone


def test_several_questions_are_kept_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Questions that travel together are one form; each takes its own values, and the statements kept are bounded."""
    monkeypatch.setattr(statements, "_MOST", 3)
    together = [[asked(ka.Link, organisation_id=id), asked(ka.Order, organisation_id=f"{id}2", limit=n)] for n, id in
                enumerate("ab")]  # fmt: skip
    made = []
    for queries in (*together, *together):
        given: dict[str, Any] = {}
        made.append((statement(queries, given, SQLITE), sorted(given.values(), key=str)))
    assert made[0][0] == made[1][0]
    assert [values for _, values in made] == [[0, "a", "a2"], [1, "b", "b2"]] * 2
    for kind in KINDS.values():
        statement([Query(kind)], {}, SQLITE)
        assert len(statements._kept) <= 3


def test_searches_are_not_kept() -> None:
    """What is searched for decides about the text, so that it is made each time."""
    for text in ("acme", "555 77", "x"):
        assert of(Query(KINDS["Contact"], text=text), SQLITE)[0]
    assert not statements._kept


def test_what_is_kept_holds_no_value() -> None:
    """Neither the text nor what it takes keeps a value, or the reader, of the question that it was made for."""
    for first, _ in pairs():
        of(attrs.evolve(first, reader=reader("the one who asked")), SQLITE)
    held: list[Any] = [statements._kept]
    seen: set[int] = set()
    while held:
        one = held.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        assert not isinstance(one, (Query, Reader))
        if isinstance(one, dict):
            held += [*one.keys(), *one.values()]
        elif isinstance(one, (tuple, list)):
            held += one
        elif isinstance(one, statements._Kept):
            held += one.takes
        elif callable(one) and getattr(one, "__closure__", None):
            held += [cell.cell_contents for cell in one.__closure__]
    assert len(seen) > 100
