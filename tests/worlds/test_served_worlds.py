"""The two-world runner over books on a PostgreSQL server: what a user may not read changes nothing there either."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from worlds import two_worlds as tw

postgres = pytest.importorskip("postgres")

WORLDS = int(os.environ.get("KEYACCOUNT_SERVED_WORLDS", "3"))
"""Everyday; seven have one of each variant. Each world is asked fifty questions."""


@pytest.fixture
def storages(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Have the runner build its books on the server; their schemas are given back in the end."""
    engine, made = postgres.engine(), []

    def make() -> Any:
        made.append(postgres.fresh(engine, patience=5.0))
        return made[-1]

    monkeypatch.setattr(tw, "MemoryStorage", make)
    yield made
    for storage in made:
        storage.close()
    engine.dispose()


def test_two_worlds_are_alike_on_a_server(storages: list[Any]) -> None:
    """Two stores that differ only in what a user may not read behave identically for every call of the user's desk."""
    tally = tw.Tally()
    for seed in range(WORLDS):
        assert not (found := tw.run_all([seed], tally)), str(found[0])
        while len(storages) > 0:
            storages.pop().close()
    assert tally.asked.total() >= WORLDS * tw.CALLS // 2
    assert not tally.foreign, "\n".join(tally.foreign[:20])
