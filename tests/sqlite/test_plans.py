"""How a file finds its rows: by index where there is one, whoever asks, and with no limit on how many are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import keyaccount as ka
from keyaccount.model.entity import Entity
from keyaccount.queries import one_of
from keyaccount.storage import Act
from keyaccount.storage.sql import Select
from keyaccount.storage.sqlite import SQLiteStorage
from keyaccount.view import View, Work, resolve

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
MANY = 1_500
"""More than SQLite takes in one expression, and more than one chunk of a stream."""


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[SQLiteStorage]:
    """Open a file with a user in it."""
    storage = SQLiteStorage(tmp_path / "book.db")
    ka.Book(storage).trusted("setup").put(ka.User("anna", name="Anna"))
    yield storage
    storage.close()


def steps(storage: SQLiteStorage, default: ka.Right | None, kind: type[Entity], **asked: Any) -> list[str]:
    """Return how SQLite goes through the table that a user asks for."""
    policy = ka.AccessPolicy(default=default)
    with storage.unit(write=False) as unit:
        reader = resolve(unit, "anna", policy, NOW)
        query = View(Work(unit, Act(NOW, "anna"), policy), reader, NOW.date(), NOW).query(kind, **asked)
        select = Select(query, unit._parameters(reader))
        plan = unit.connection.execute(f"EXPLAIN QUERY PLAN {select.rows()}", select.parameters).fetchall()
    return [step for *_, step in plan if step.startswith(("SEARCH t ", "SCAN t ")) or step in ("SEARCH t", "SCAN t")]


@pytest.mark.parametrize("kind", [ka.Assignment, ka.ServiceNote, ka.Activity])
@pytest.mark.parametrize("default", [ka.Right.READ, None])
def test_references_are_found_by_index(storage: SQLiteStorage, kind: type[Entity], default: ka.Right | None) -> None:
    """What hangs on some organisations is found by its index, also where the reference may be masked."""
    (step,) = steps(storage, default, kind, organisation_id=one_of(["a", "b"]))
    assert step.startswith("SEARCH t USING")
    assert "organisation_id=?" in step


def test_a_page_by_name_is_read_in_its_order(storage: SQLiteStorage) -> None:
    """Where all are readable, a page of accounts is read along the index by name, not sorted out of all."""
    assert steps(storage, ka.Right.READ, ka.Organisation, order="name", limit=50) == [
        "SCAN t USING INDEX organisation_by_name_key_id"
    ]


@pytest.mark.parametrize("kind", [ka.Organisation, ka.Position, ka.Invoice])
def test_a_list_under_a_closed_policy_starts_from_the_claims(storage: SQLiteStorage, kind: type[Entity]) -> None:
    """Where nothing is open, what claims reach is looked up; what exists is not looked through."""
    (step,) = steps(storage, None, kind)
    assert step.startswith("SEARCH t USING")


def test_any_number_of_references_is_looked_for_at_once(storage: SQLiteStorage) -> None:
    """A thousand external references, of one system or several, take no longer text than two."""
    office = ka.Book(storage).trusted("office")
    refs = [{"erp": str(n), "crm": f"c{n}"} for n in range(MANY)]
    assert office.put_many(ka.Organisation(f"o{n}", name="O", refs=ref) for n, ref in enumerate(refs)) == MANY
    assert office.count(ka.Organisation, refs=ka.one_of([{"erp": ref["erp"]} for ref in refs])) == MANY
    assert office.count(ka.Organisation, refs=ka.one_of(refs)) == MANY
    crossed = [{"erp": str(n), "crm": f"c{n + 1}"} for n in range(MANY)]
    assert office.count(ka.Organisation, refs=ka.one_of(crossed)) == 0
    found = office.find(ka.Organisation, refs=ka.one_of([*crossed, refs[7], {"crm": "c3"}]), order="id")
    assert [row.id for row in found] == ["o3", "o7"]
    assert office.count(ka.Organisation, refs=ka.one_of([{}, *crossed])) == MANY
