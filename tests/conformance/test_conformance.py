"""The adapters that are shipped keep every promise of the storage port, as the conformance kit checks them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from conformance.stores import STORES
from keyaccount import testing
from keyaccount.errors import ValidationError
from keyaccount.storage.memory import MemoryStorage

EXPECTED: Mapping[str, Mapping[str, str]] = {"memory": {}, "SQLite": {}}
"""What is known to be broken; each reason goes with its repair."""

NAMES = [check.name for check in testing.checks(MemoryStorage)]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("store", STORES)
def test_conforms(store: str, name: str, tmp_path: Path) -> None:
    """The adapter keeps this promise of the storage port."""
    make = STORES[store](tmp_path)
    next(check for check in testing.checks(make, expected_failures=EXPECTED[store]) if check.name == name)()


def test_names_are_different() -> None:
    """Every check has a name of its own, so that it can be asked for and excused by it."""
    assert len(set(NAMES)) == len(NAMES) > 100


def test_an_expected_failure_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """A check that is expected to fail, and does, is printed with its reason."""
    (check,) = (c for c in testing.checks(list, expected_failures={"close": "a list"}) if c.name == "close")  # type: ignore[arg-type]
    check()
    assert capsys.readouterr().out == "expected failure: close: a list\n"


def test_an_expected_failure_must_fail() -> None:
    """A check that is expected to fail, and does not, raises: the excuse is no longer true."""
    (check,) = (c for c in testing.checks(MemoryStorage, expected_failures={"close": "x"}) if c.name == "close")
    with pytest.raises(AssertionError, match="does not fail any more"):
        check()


def test_another_error_is_a_failure() -> None:
    """An adapter that raises anything fails its check with a message that names the check and the error."""
    (check,) = (c for c in testing.checks(list) if c.name == "close")  # type: ignore[arg-type]
    with pytest.raises(AssertionError, match="close: the adapter raised AttributeError"):
        check()


@pytest.mark.parametrize(("name", "reason"), [("clos", "x"), ("close", " ")])
def test_only_checks_that_exist_are_excused(name: str, reason: str) -> None:
    """A misspelt name, or no reason, is refused before anything runs."""
    with pytest.raises(ValidationError, match="expected_failures"):
        testing.checks(MemoryStorage, expected_failures={name: reason})
