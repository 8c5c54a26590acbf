"""The overlay keeps the promises of the storage port, checked by the kit that ships over a host that is played here.

The host keeps nine kinds, their ids and references, texts, days, money as bytes, lists as JSON. Everyday one check of
each sort is run; with KEYACCOUNT_ALL=1, all of them.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from keyaccount import testing
from keyaccount.storage.memory import MemoryStorage
from overlay.hosted import hosted

EXPECTED = {
    "images: of every kind": "a host's fields have no history, and a record that the host removed has none at all",
}
"""What an overlay does not do."""

EVERYDAY = {
    "round trip: Organisation", "round trip: Contact", "round trip: Opportunity", "round trip: Order",
    "round trip: Activity", "conditions: Organisation", "conditions: Activity", "conditions: Contract",
    "conditions: open ends", "order: Contact", "order: Opportunity", "pages: Organisation", "totals: Organisation",
    "totals: Activity", "totals in windows: Contract", "totals: derived fields", "closures", "phone keys", "search",
    "lookup keys follow their record", "gather", "restricted finds: everything at once",
    "restricted gather: an open book", "versions: changed from a stale one",
    "versions: every change of many", "check: nothing wrong in what is intact",
    "units: left by an exception, nothing is kept", *EXPECTED,
}  # fmt: skip
NAMES = [check.name for check in testing.checks(MemoryStorage)]
CHOSEN = NAMES if os.environ.get("KEYACCOUNT_ALL") else [name for name in NAMES if name in EVERYDAY]


@pytest.mark.parametrize("name", CHOSEN)
def test_conforms(name: str, tmp_path: Path) -> None:
    """The overlay keeps this promise of the storage port, or is known not to."""
    checks = testing.checks(hosted(tmp_path), expected_failures=EXPECTED)
    next(check for check in checks if check.name == name)()


def test_the_choice_is_of_checks_that_exist() -> None:
    """No check is left out by a misspelt name."""
    assert set(NAMES) >= EVERYDAY
