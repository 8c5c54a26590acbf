"""The conformance kit: whoever writes a storage adapter proves it with these checks, alone and without a framework.

`for check in keyaccount.testing.checks(make_storage): check()` runs all of them. Each compares the adapter's answers
with the evaluator's over the same records (`keyaccount.queries.run` and `total`), never with the adapter itself.
`keyaccount.testing.strategies` has Hypothesis strategies for every kind of record, and a state machine that drives
several storages in lock step; it needs `keyaccount[testing]`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import attrs

from keyaccount.errors import ValidationError, nearest
from keyaccount.storage import Storage

__all__ = ["Check", "checks"]


@attrs.frozen
class Check:
    """One promise of the storage port, by its name; calling it keeps silent or raises AssertionError."""

    name: str
    _run: Callable[[Callable[[], Storage]], None] = attrs.field(repr=False)
    _make: Callable[[], Storage] = attrs.field(repr=False)
    expected_failure: str | None = None

    def __call__(self) -> None:
        """Keep the adapter to its promise.

        Raises AssertionError that says what was asked and what was answered, also where the adapter raised another
        error. One that is expected to fail is printed, and raises where it does not fail any more.
        """
        failure = self._failure()
        if self.expected_failure is None:
            if failure is not None:
                raise AssertionError(f"{self.name}: {_said(failure)}") from failure
            return
        print(f"expected failure: {self.name}: {self.expected_failure}")  # noqa: T201 - the way out is printed
        if failure is None:
            raise AssertionError(f"{self.name}: does not fail any more; take it out of expected_failures")

    def _failure(self) -> Exception | None:
        try:
            self._run(self._make)
        except Exception as error:  # noqa: BLE001 - an adapter may raise anything
            return error
        return None


def checks(
    make_storage: Callable[[], Storage], *, expected_failures: Mapping[str, str] | None = None
) -> Iterator[Check]:
    """Yield every check of the storage port, for an adapter whose `make_storage` returns a fresh, empty storage.

    A storage is closed when its check is done with it. One that waits for other writers should wait for less than a
    second here. `expected_failures` (reasons by name) is the only way out: such a check is printed, and must fail.

    >>> from keyaccount.storage.memory import MemoryStorage
    >>> first = next(checks(MemoryStorage))
    >>> first.name
    'round trip: Unit'
    >>> first()

    Raises ValidationError for an expected failure of a check that does not exist, or without a reason.
    """
    from keyaccount.testing.reading import checks as reading
    from keyaccount.testing.restricting import checks as restricting
    from keyaccount.testing.writing import checks as writing

    expected = dict(expected_failures or {})
    known = dict([*reading(), *restricting(), *writing()])
    for name, reason in expected.items():
        if name not in known:
            raise ValidationError.of("checks", "expected_failures", name, f"is no check{nearest(name, known)}")
        if not isinstance(reason, str) or not reason.strip():
            raise ValidationError.of("checks", "expected_failures", name, "needs a reason")
    return (Check(name, run, make_storage, expected.get(name)) for name, run in known.items())


def _said(failure: Exception) -> str:
    return str(failure) if isinstance(failure, AssertionError) else f"the adapter raised {failure!r}"
