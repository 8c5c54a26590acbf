"""A state machine that drives several storages in lock step, and compares every answer, order and error.

Each storage gets a book of its own with the same small company in it. Every step is one call at a desk, trusted or
bound, made in each of the books; inside transactions too, which are kept or undone. Ids that the library makes are
compared by the order in which they were made.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from unittest import mock

import attrs
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from keyaccount import values as keyaccount_values
from keyaccount.access import AccessPolicy
from keyaccount.book import Book
from keyaccount.catalogue import KINDS
from keyaccount.desk import Desk
from keyaccount.errors import KeyAccountError
from keyaccount.results import plain
from keyaccount.storage import Storage
from keyaccount.testing.bench import create, write
from keyaccount.testing.records import NOW
from keyaccount.testing.steps import Step, steps
from keyaccount.testing.worlds import POLICIES, world

_MADE = re.compile(r"([0-9a-f]{8}-[0-9a-f]{4})-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_SEEDS = 6
_AROUND = 150


class RolledBack(Exception):
    """Leaves a transaction that is to be undone."""


@attrs.frozen
class Stopwatch:
    """Stands in for the clock from which ids are made: each one is a millisecond later than the one before."""

    made: Iterator[int]

    def time_ns(self) -> int:
        """Return the next moment."""
        return next(self.made) * 1_000_000


@contextmanager
def _ids_from(start: int) -> Iterator[None]:
    """Make ids in the block that are the same in every book, as far as they are ordered by."""
    with mock.patch.object(keyaccount_values, "time", Stopwatch(iter(range(start, start + 1_000_000)))):
        yield


class LockStep(RuleBasedStateMachine):
    """Several books, driven alike; made for some storages by `lockstep`."""

    makers: Mapping[str, Callable[[], Storage]] = {}

    def __init__(self) -> None:
        """Start with nothing open."""
        super().__init__()
        self.books: dict[str, Book] = {}
        self.storages: dict[str, Storage] = {}
        self.now = NOW
        self.count = 0

    @initialize(policy=st.sampled_from(sorted(POLICIES)), seed=st.integers(1, _SEEDS))
    def open(self, policy: str, seed: int) -> None:
        """Open a book on each storage, with a small company in it."""
        for name, make in self.makers.items():
            self.storages[name] = make()
            write(self.storages[name], create(world(policy, seed).records))
            self.books[name] = self._book(self.storages[name], POLICIES[policy])

    def _book(self, storage: Storage, policy: AccessPolicy) -> Book:
        return Book(storage, policy=policy, region="DE", zone="Europe/Berlin", clock=self._clock)

    def _clock(self) -> datetime:
        return self.now

    @rule(several=st.lists(steps(), min_size=1, max_size=6))
    def call(self, several: list[Step]) -> None:
        """Make calls, each by itself."""
        for step in several:
            self._compare(step, partial(_answer, step=step))

    @rule(several=st.lists(steps(writing=True), min_size=1, max_size=5), keeps=st.booleans())
    def transaction(self, several: list[Step], *, keeps: bool) -> None:
        """Make several calls in one transaction, which is kept or undone, and compare all that there is after it."""
        self._compare(several, lambda book: _transaction(book, several, keeps=keeps))
        self._compare("everything", _everything)

    @rule(several=st.lists(steps(writing=True), min_size=1, max_size=3))
    def again(self, several: list[Step]) -> None:
        """Make a transaction with an idempotency key, twice: the second time changes nothing."""
        key = f"key-{self.count}"
        for _ in range(2):
            self._compare(several, lambda book: _transaction(book, several, keeps=True, key=key))

    @rule(hours=st.integers(1, 60))
    def wait(self, hours: int) -> None:
        """Let time pass: rights and roles begin and end."""
        self.now += timedelta(hours=hours)

    def _compare(self, what: object, ask: Callable[[Book], str]) -> None:
        """Ask every book, and compare what they say with the first."""
        self.count += 1
        said: dict[str, str] = {}
        for name, book in self.books.items():
            with _ids_from(1_700_000_000_000 + self.count * 1_000_000):
                said[name] = _MADE.sub(r"made-\1", ask(book))
        first, *others = said
        for other in others:
            where = _parting(said[first], said[other])
            one, two = (said[name][max(0, where - _AROUND) : where + 2 * _AROUND] for name in (first, other))
            assert said[first] == said[other], f"{what}:\n{first}: …{one}…\n{other}: …{two}…"

    def teardown(self) -> None:
        """Compare all that is left, and close the books."""
        try:
            if self.books:
                self._compare("everything", _everything)
                self._compare("acts", self._acts)
                self._compare("damage", lambda book: str(len(book.check())))
        finally:
            for book in self.books.values():
                book.close()

    def _acts(self, book: Book) -> str:
        storage = next(storage for name, storage in self.storages.items() if self.books[name] is book)
        with storage.unit(write=False) as work:
            told = [
                (one.at.timestamp(), one.by, one.why, one.key, one.request, sorted(one.changed)) for one in work.acts()
            ]
        return "\n".join(map(str, told))


def lockstep(makers: Mapping[str, Callable[[], Storage]]) -> type[RuleBasedStateMachine]:
    """Make a state machine for two storages or more, each made fresh and empty by its function.

    All are compared with the first. Run it with `hypothesis.stateful.run_state_machine_as_test`, or its `TestCase`.
    """
    return type("LockStep", (LockStep,), {"makers": dict(makers)})


def _parting(one: str, other: str) -> int:
    """Return where two texts begin to differ."""
    return next((n for n, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), len(one))


def _answer(book: Book, step: Step) -> str:
    """Make a call; tell its answer, or its error, as text."""
    try:
        desk = book.trusted("the kit") if step.desk is None else book.desk(step.desk)
        return _told(step.call(desk))
    except KeyAccountError as error:
        return f"{type(error).__name__}: {error}"


def _told(answer: Any) -> str:
    """Write an answer down with everything that it shows, also as a sentence."""
    return f"{json.dumps(plain(answer), ensure_ascii=False)} {answer if type(answer).__name__ == 'Decision' else ''}"


def _transaction(book: Book, several: Sequence[Step], *, keeps: bool, key: str | None = None) -> str:
    said: list[str] = []
    try:
        with book.trusted("the kit").transaction(why="in lock step", key=key):
            said += [_answer(book, step) for step in several]
            if not keeps:
                raise RolledBack  # noqa: TRY301 - the way to undo a transaction
    except RolledBack:
        said.append("rolled back")
    except KeyAccountError as error:
        said.append(f"{type(error).__name__}: {error}")
    return "\n".join(said)


def _everything(book: Book) -> str:
    """Write down every record, as a trusted desk finds it."""
    desk: Desk = book.trusted("the kit")
    return "\n".join(_told(list(desk.find(kind.cls))) for kind in KINDS.values())
