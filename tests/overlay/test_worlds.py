"""What a user may not read changes nothing at this user's desk, where the records stand in a host's tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from overlay.hosted import hosted
from worlds import two_worlds as tw

KINDS = ("User", "Organisation", "Contact", "Position", "Activity", "ServiceNote")
WORLDS = 3 * len(tw.VARIANTS)


@pytest.mark.parametrize("first", range(0, WORLDS, len(tw.VARIANTS)))
def test_two_worlds_are_alike(first: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two hosts that differ only in what a user may not read behave identically for every call of the user's desk."""
    monkeypatch.setattr(tw, "MemoryStorage", hosted(tmp_path, kinds=KINDS))
    tally = tw.Tally()
    found = tw.run_all(range(first, first + len(tw.VARIANTS)), tally)
    assert not found, str(found[0])
    assert tally.succeeded.total() * 3 >= tally.asked.total()
    assert not tally.foreign, "\n".join(tally.foreign[:20])
