"""The overlay keeps the promises of the storage port, as far as the host plays along; checked by the kit that ships."""

from __future__ import annotations

from pathlib import Path

import pytest

from keyaccount import testing
from keyaccount.storage.memory import MemoryStorage
from overlay.hosted import HOST_KINDS, hosted

EXPECTED = {
    "backup: a file that opens equal": "the tables are one part of a database, which is copied with its own tools",
}
"""What an overlay does not do, by the names of the checks."""

_EVERYDAY = ("round trip", "conditions", "order", "limits", "pages", "totals", "phone keys", "search", "gather", "ids",
             "units", "history", "acts", "restricted finds: everything at once", "restricted totals: everything at once",
             "check")  # fmt: skip
NAMES = [check.name for check in testing.checks(MemoryStorage)]


def test_names() -> None:
    assert len(NAMES) > 100
