"""Memory and SQLite, driven alike: every answer, order and error is the same.

The everyday run takes about a minute of one core; KEYACCOUNT_LOCKSTEP=50 makes it fifty times as long.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

import keyaccount as ka
from conformance.stores import STORES
from conformance.test_saboteurs import Wrapped, WrappedUnit
from keyaccount.catalogue import KINDS, Kind
from keyaccount.errors import MissingExtra
from keyaccount.model.entity import Entity
from keyaccount.queries import Query
from keyaccount.storage.memory import MemoryStorage
from keyaccount.testing import checks
from keyaccount.testing.strategies import entities, lockstep, values

TIMES = int(os.environ.get("KEYACCOUNT_LOCKSTEP", "1"))
EVERYDAY, PARTS = 28, 3
_SETTINGS = settings(
    max_examples=EVERYDAY * TIMES,
    stateful_step_count=20,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("part", range(PARTS))
def test_lockstep(part: int, tmp_path: Path) -> None:
    """A walk of random calls at trusted and bound desks is answered alike by every adapter."""
    machine = lockstep({name: store(tmp_path) for name, store in STORES.items()})
    run_state_machine_as_test(machine, settings=_SETTINGS)


class Forgetful(WrappedUnit):
    """Finds no activities."""

    def find(self, query: Query) -> Iterator[Entity]:
        """Leave the activities out."""
        return iter(()) if query.kind.name == "Activity" else self.inner.find(query)


def test_lockstep_finds_what_differs() -> None:
    """The walk fails where one of the storages answers otherwise: it can fail."""
    machine = lockstep({"memory": MemoryStorage, "forgetful": lambda: Wrapped(MemoryStorage(), Forgetful)})
    quick = settings(_SETTINGS, max_examples=5, phases=[Phase.generate], report_multiple_bugs=False)
    with pytest.raises(AssertionError, match="forgetful"):
        run_state_machine_as_test(machine, settings=quick)


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_every_entity_is_drawn(kind: Kind) -> None:
    """Strategies draw valid records of every kind, and different ones."""
    drawn: set[str] = set()

    @settings(max_examples=25, deadline=None, database=None, derandomize=True)
    @given(record=entities(kind.cls))
    def draw(record: Entity) -> None:
        drawn.add(repr(record))

    draw()
    assert len(drawn) > 5


@given(name=values(KINDS["Organisation"].shapes["name"]), parent=st.just("up"))
@settings(max_examples=25, deadline=None, database=None, derandomize=True)
def test_values_fit_their_field(name: str, parent: str) -> None:
    """What is drawn for a field is taken by it."""
    assert ka.Organisation("o", name=name, parent_id=parent).name == name


def test_hypothesis_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Hypothesis is not installed, the strategies say what to install, and the checks run without it."""
    monkeypatch.delitem(sys.modules, "keyaccount.testing.strategies")
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    with pytest.raises(MissingExtra, match=r"keyaccount\[testing\]"):
        importlib.import_module("keyaccount.testing.strategies")
    next(checks(MemoryStorage))()
