"""The adapters for a host's own database keep every promise of the storage port, and answer as the others do.

Everyday, of what is checked for each kind of record or policy some are; KEYACCOUNT_KIT=all checks all of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from conformance.stores import SERVED, STORES
from keyaccount import testing
from keyaccount.catalogue import KINDS
from keyaccount.storage.memory import MemoryStorage
from keyaccount.testing.strategies import lockstep
from keyaccount.testing.worlds import POLICIES

pytest.importorskip("sqlalchemy")

KINDS_EVERYDAY = {"Organisation", "Position", "Opportunity"}
"""Accounts, what hangs on two homes, and what has all sorts of values."""

POLICIES_EVERYDAY = {"everything at once"}
_SETTINGS = settings(
    max_examples=int(os.environ.get("KEYACCOUNT_LOCKSTEP", "1")) * 3,
    stateful_step_count=12,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


LONG = (
    *("restricted totals", "conditions: several at once"),
    *("versions: changed while", "versions: removed", "round trip: versions"),
)
"""Whole sets of worlds or kinds, of which the ones beside them ask nearly the same."""

OF_TRANSACTIONS = (
    "units",
    "nested",
    "acts",
    "seal",
    "check",
    "close",
    "storages",
    "ids",
    "restricted finds: everything",
)
"""What SQLAlchemy has a part in where the statements are those of a file."""


def _cases() -> Iterator[tuple[str, str]]:
    """Yield stores and names of checks."""
    left_out = {*KINDS, *POLICIES} - KINDS_EVERYDAY - POLICIES_EVERYDAY
    for store in SERVED:
        for check in testing.checks(MemoryStorage):
            name = check.name
            everyday = name.rpartition(": ")[2] not in left_out and not name.startswith(LONG)
            everyday &= store == "PostgreSQL" or name.startswith(OF_TRANSACTIONS)
            if everyday or os.environ.get("KEYACCOUNT_KIT") == "all":
                yield store, name


@pytest.mark.parametrize(("store", "name"), list(_cases()))
def test_conforms(store: str, name: str, tmp_path: Path) -> None:
    """The adapter keeps this promise of the storage port, with none excused."""
    next(check for check in testing.checks(SERVED[store](tmp_path)) if check.name == name)()


def test_lockstep(tmp_path: Path) -> None:
    """A walk of random calls at trusted and bound desks is answered alike in memory, in a file and on a server."""
    makers = {**STORES, "PostgreSQL": SERVED["PostgreSQL"]}
    machine = lockstep({name: store(tmp_path) for name, store in makers.items()})
    run_state_machine_as_test(machine, settings=_SETTINGS)
