"""The example of a host's transaction does what it says, in a file and on a server."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy")

EXAMPLE = Path(__file__).parents[2] / "examples" / "host_transaction.py"


@pytest.mark.parametrize("sort", ["SQLite", "PostgreSQL"])
def test_what_failed_leaves_nothing_and_the_rest_is_kept_together(
    sort: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order that failed has no row and made no customer; a private customer's order is seen by its manager only."""
    spec = importlib.util.spec_from_file_location("host_transaction", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, example)  # its models look their annotations up there
    spec.loader.exec_module(example)
    address = f"sqlite:///{tmp_path}/shop.sqlite"
    if sort == "PostgreSQL":
        import postgres

        address = postgres.shared().url.render_as_string(hide_password=False)
    expected = {"volker": ["1", "3"], "carla": ["1"], "customers": ["acme", "secret"]}
    assert example.main(address) == expected
