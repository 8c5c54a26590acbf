"""What a user may not read changes nothing at this user's desk, where the records stand in a host's tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from keyaccount.storage import shadows
from keyaccount.storage.schema import Column
from overlay.hosted import hosted
from worlds import two_worlds as tw

KINDS = ("Organisation", "Contact", "Position", "ServiceNote")
WORLDS = 3 if tw.WORLDS <= 200 else tw.WORLDS // 10
"""A world takes seconds: each of its users asks in another way, and SQLite prepares every way of asking anew."""


@pytest.mark.parametrize("seed", range(WORLDS))
def test_two_worlds_are_alike(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two hosts that differ only in what a user may not read behave identically for every call of the user's desk."""
    monkeypatch.setattr(tw, "MemoryStorage", hosted(tmp_path, kinds=KINDS))
    tally = tw.Tally()
    found = tw.run_all(range(seed, seed + 1), tally)
    assert not found, str(found[0])
    assert tally.succeeded.total() * 3 >= tally.asked.total()
    assert not tally.foreign, "\n".join(tally.foreign[:20])


def test_a_leak_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An overlay that forgets which of the host's accounts are private is told apart: the runner can fail."""
    read = shadows._Shadow._ours

    def forgetful(self: shadows._Shadow, column: Column) -> str:
        return "0" if column.name == "private" else read(self, column)

    monkeypatch.setattr(shadows._Shadow, "_ours", forgetful)
    monkeypatch.setattr(tw, "MemoryStorage", hosted(tmp_path, kinds=("Organisation",)))
    assert any(tw.run_all(range(seed, seed + 1), tw.Tally()) for seed in range(4))
