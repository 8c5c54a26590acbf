"""The adapters for a host's own database keep every promise of the storage port.

Everyday of what is checked for each kind of record some kinds are; KEYACCOUNT_KIT=all checks all of them.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from conformance.stores import SERVED
from keyaccount import testing
from keyaccount.catalogue import KINDS
from keyaccount.storage.memory import MemoryStorage

pytest.importorskip("sqlalchemy")

EVERYDAY = {"Organisation", "Position", "Activity", "Opportunity"}
"""Accounts, what hangs on two homes, what has lists and moments, and what has all sorts of values."""


def _names() -> list[str]:
    names = [check.name for check in testing.checks(MemoryStorage)]
    if os.environ.get("KEYACCOUNT_KIT") == "all":
        return names
    return [name for name in names if (kind := name.rpartition(": ")[2]) not in KINDS or kind in EVERYDAY]


@pytest.mark.parametrize("name", _names())
@pytest.mark.parametrize("store", SERVED)
def test_conforms(store: str, name: str, tmp_path: Path) -> None:
    """The adapter keeps this promise of the storage port, with none excused."""
    next(check for check in testing.checks(SERVED[store](tmp_path)) if check.name == name)()
