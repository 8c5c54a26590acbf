"""The book: a storage, a clock, a policy; where desks come from."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, date, datetime, tzinfo
from pathlib import Path
from types import TracebackType
from typing import Literal, Self
from zoneinfo import ZoneInfo

from keyaccount import gate
from keyaccount.access import AccessPolicy
from keyaccount.arguments import check_region
from keyaccount.contracts import LEAD_DAYS, Lead
from keyaccount.desk import Desk
from keyaccount.errors import NotFound, StorageUnavailable, ValidationError
from keyaccount.figures import Exchange, rates_to
from keyaccount.model.contacts import SHIPPED_ROLES, ContactRole
from keyaccount.model.entity import Entity
from keyaccount.model.notes import SHIPPED_CONTEXTS, Context, ExpectedProvider
from keyaccount.model.organogram import User
from keyaccount.providers import Provider
from keyaccount.questions import checked_currency
from keyaccount.reach import Findings, unreached
from keyaccount.requests import Request
from keyaccount.storage import Act, Storage
from keyaccount.storage.memory import MemoryStorage
from keyaccount.turnover import Lake
from keyaccount.values import unwritable
from keyaccount.view import View, Work, current_task, resolve

# The open transaction of each book, for the thread or task that opened it.
_open: ContextVar[Mapping[int, Work]] = ContextVar("keyaccount_open", default={})  # noqa: B039 - never changed, only replaced


def utc_now() -> datetime:
    """Return this moment: the clock of a book that is given none."""
    return datetime.now(UTC)


class Book:
    """The records of one company, with the rules they are read by.

    `storage` is any adapter. `policy` says what users hold beside assignments and grants. `region` (ISO 3166) is
    where national phone numbers are read; `zone` (IANA) decides which day it is; `clock` returns the moment, aware
    of its zone; `providers` are the host's sources of computed notes. `exchange` is the host's function of a
    currency and a day that gives what one unit of it is worth in the host's own currency, which is worth 1. `lead`
    is how many days before its notice deadline a contract's alert is due: a number, or a function of its kind and
    organisation id. `facts` are invoices and orders that are kept outside the storage: see
    `keyaccount.frames.FrameFacts`.
    """

    def __init__(
        self,
        storage: Storage,
        *,
        policy: AccessPolicy | None = None,
        region: str | None = None,
        zone: str = "UTC",
        clock: Callable[[], datetime] = utc_now,
        providers: Iterable[Provider] = (),
        exchange: Exchange | None = None,
        lead: Lead = LEAD_DAYS,
        facts: Lake | None = None,
    ) -> None:
        """Open the storage; one that is empty gets the shipped contexts and roles."""
        if policy is not None and not isinstance(policy, AccessPolicy):
            raise ValidationError.of("Book", "policy", policy, "must be an AccessPolicy")
        if not callable(clock):
            raise ValidationError.of("Book", "clock", clock, "must be a function that returns an aware datetime")
        check_region(region)
        self.policy = policy or AccessPolicy()
        self.region = region
        self.providers = _checked_providers(providers)
        self.exchange, self.lead = _checked_exchange(exchange), checked_lead(lead)
        self._storage, self._facts = storage, _checked_facts(facts)
        self.zone = _zone(zone)
        self._clock = clock
        self._closed = False
        self._furnish()

    # -- desks

    def desk(self, user: str) -> Desk:
        """Return the desk of a user: all that follows is restricted to what they may read and change.

        Raises NotFound for a user who is not there, or not active.
        """
        if not isinstance(user, str):
            raise ValidationError.of("User", "id", user, "must be an id (text)")
        with self._work("keyaccount", write=False) as work:
            view = self._bind(work, None)
            found = view.find(User, id=user) if user else []
        if not found or not found[0].active:
            raise NotFound("User", user)
        return Desk(self, user_id=user, name=user)

    def trusted(self, name: str) -> Desk:
        """Return a desk for the host's own jobs: every right, audited under `name`."""
        if not isinstance(name, str) or not name.strip() or unwritable(name, line=True) or len(name) > 200:  # noqa: PLR2004
            raise ValidationError.of("Book", "name", name, "must be a name for the audit")
        return Desk(self, user_id=None, name=name)

    # -- the whole of it

    def check(self, *, seal: str | None = None) -> Findings:
        """Look for damage, edits behind the library's back, lost history, and records that nobody reaches.

        With a `seal` that was kept elsewhere, also for a history that was cut off since. Nothing found gives an empty
        answer. Sequence numbers and ids of all accounts are in it: it is for the host.
        """
        self._check_open()
        if seal is not None and (not isinstance(seal, str) or len(seal) > 200):  # noqa: PLR2004
            raise ValidationError.of("Book", "seal", seal, "is no seal of this library")
        found = list(self._storage.check(seal))
        if not found:
            with self._work("keyaccount", write=False) as work:
                found = list(unreached(self._bind(work, None)))
        return Findings(tuple(found))

    def backup(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Copy the book to a new file, consistently, while others go on working.

        Raises ValidationError for a path that is taken, unless told to `overwrite`; StorageUnavailable.
        """
        if not isinstance(path, (str, os.PathLike)) or "\0" in str(path) or not str(path):
            raise ValidationError.of("Book", "path", path, "must be the path of a file")
        self._check_open()
        target = _writable(path)
        if target.is_symlink() or (target.exists() and not (overwrite and target.is_file())):
            raise ValidationError.of("Book", "path", str(path), "is taken; choose another, or pass overwrite=True")
        self._storage.backup(target, overwrite=overwrite)

    def seal(self) -> str:
        """Return a value that stands for the whole history up to now, for the host to keep elsewhere."""
        self._check_open()
        return self._storage.seal()

    def _rates_to(self, currency: str | None) -> Exchange | None:
        """Return the host's rates as what a unit is worth in one currency; None where none is asked for."""
        if currency is None:
            return None
        checked_currency(currency)
        return rates_to(self.exchange, currency)

    # -- life

    def close(self) -> None:
        """Let go of the storage; every later call raises StorageUnavailable."""
        if not self._closed:
            self._closed = True
            self._storage.close()

    def __enter__(self) -> Self:
        """Use the book in a block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def __repr__(self) -> str:
        """Show where the records are."""
        return f"<Book in {type(self._storage).__name__}{', closed' if self._closed else ''}>"

    # -- for the desks

    def now(self) -> datetime:
        """Return the book's moment, in its time zone."""
        moment = self._clock()
        if not isinstance(moment, datetime) or moment.utcoffset() is None:
            raise ValidationError.of("Book", "clock", moment, "must return a datetime that knows its time zone")
        if not date.min.year < moment.year < date.max.year:
            raise ValidationError.of("Book", "clock", moment, "must return a moment of the years 2 to 9998")
        return moment.astimezone(self.zone)

    def _bind(self, work: Work, user_id: str | None) -> View:
        """Make the view of one call: the reader is resolved afresh, so that a right that is lost is lost at once."""
        now = self.now()
        reader = None if user_id is None else resolve(work.unit, user_id, self.policy, now)
        return View(work, reader, now.date(), now)

    @contextmanager
    def _work(
        self, by: str, *, write: bool, why: str | None = None, key: str | None = None, once: bool = False
    ) -> Iterator[Work]:
        """Join the transaction of this thread or task, or open a unit of work of its own."""
        self._check_open()
        current = self._current()
        if current is not None:
            with current.nested() if write else contextlib.nullcontext():
                yield current
            return
        now = self.now()
        with self._storage.unit(write=write) as unit:
            work = Work(unit, Act(now, by, why, key), self.policy, self.lead, self._facts)
            if once and key is not None:
                work.request = Request()
                if (before := unit.act_of(key)) is not None:
                    work.act, work.replays = before, True
            try:
                yield work
                work.settle(now.date())
                work.asked()
            finally:
                work.closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise StorageUnavailable("the book is closed")

    def _in_transaction(self) -> bool:
        """Say whether this thread or task has a transaction of this book open."""
        return self._current() is not None

    def _current(self) -> Work | None:
        """Return the open transaction of this thread and task; one that was started elsewhere is not ours to join."""
        current = _open.get().get(id(self))
        return None if current is None or current.closed or current.owner != current_task() else current

    @contextmanager
    def _transaction(self, by: str, why: str | None, key: str | None) -> Iterator[None]:
        if key is not None:
            self._check_key(key)
        if why is not None and (not isinstance(why, str) or unwritable(why) or len(why) > 10_000):  # noqa: PLR2004
            raise ValidationError.of("transaction", "why", why, "must be text")
        with self._work(by, write=True, why=why, key=key, once=True) as work:
            work.joined = True
            token = _open.set({**_open.get(), id(self): work})
            try:
                yield
            finally:
                with contextlib.suppress(ValueError):  # left in another context than it was entered in
                    _open.reset(token)

    def _check_key(self, key: object) -> None:
        if not isinstance(key, str) or not key or len(key) > 200 or unwritable(key, line=True):  # noqa: PLR2004
            raise ValidationError.of("transaction", "key", key, "must be a short text")
        if self._in_transaction():
            raise ValidationError.of("transaction", "key", key, "cannot join a transaction that is open already")

    def _furnish(self) -> None:
        """Write what a new book ships with, and the names of providers this one has not seen before."""
        with self._work("keyaccount", write=False) as work:
            view = self._bind(work, None)
            known = {row.id for row in view.find(ExpectedProvider)}
            new = not view.find(Context, limit=1) and not view.find(ContactRole, limit=1)
        wanted: list[Entity] = [ExpectedProvider(p.name) for p in self.providers if p.name not in known]
        if new:
            wanted = [*SHIPPED_CONTEXTS, *SHIPPED_ROLES, *wanted]
        if wanted:
            with self._work("keyaccount", write=True, why="furnished") as work:
                gate.put(self._bind(work, None), wanted)


def open(
    path: str | os.PathLike[str] | None = None,
    *,
    policy: AccessPolicy | None = None,
    region: str | None = None,
    zone: str = "UTC",
    clock: Callable[[], datetime] = utc_now,
    providers: Iterable[Provider] = (),
    exchange: Exchange | None = None,
    lead: Lead = LEAD_DAYS,
    facts: Lake | None = None,
    journal: Literal["rollback", "wal"] = "rollback",
) -> Book:
    """Open a book in an SQLite file, which is made if it is missing, or without a path in memory.

    See `Book` for the settings. `journal="wal"` has the file keep a write-ahead log, where SQLite's is sound. Raises
    StorageDamaged for a file that is not ours, StorageUnavailable for one that cannot be reached.

    >>> with open(region="DE") as book:
    ...     office = book.trusted("setup")
    ...     office.put(User("volker", name="Volker Vorstand")).version
    1
    """
    storage: Storage = MemoryStorage()
    if path is not None:
        if isinstance(path, str) and (path == ":memory:" or path.startswith("file:")):
            why = "is no path of a file; without a path a book is in memory"
            raise ValidationError.of("Book", "path", path, why)
        from keyaccount.storage.sqlite import SQLiteStorage

        storage = SQLiteStorage(path, journal=journal)
    elif journal != "rollback":
        raise ValidationError.of("Book", "journal", journal, "is of a file; there is none without a path")
    return Book(
        storage,
        policy=policy,
        region=region,
        zone=zone,
        clock=clock,
        providers=providers,
        exchange=exchange,
        lead=lead,
        facts=facts,
    )


def _writable(path: str | os.PathLike[str]) -> Path:
    """Return a path that the system takes; raise ValidationError for one it does not."""
    try:
        target = Path(path)
        os.fsencode(target)
        target.lstat()
    except FileNotFoundError:
        return target
    except (OSError, ValueError) as error:
        raise ValidationError.of("Book", "path", str(path), f"cannot be a file: {type(error).__name__}") from None
    return target


def _zone(name: object) -> tzinfo:
    try:
        if isinstance(name, str) and name:
            return UTC if name == "UTC" else ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        pass
    raise ValidationError.of("Book", "zone", name, "is no IANA time zone such as 'Europe/Berlin'")


def checked_lead(given: Lead) -> Lead:
    """Refuse what is no number of days, and nothing that could give one."""
    days = isinstance(given, int) and not isinstance(given, bool) and given >= 0
    if not (days or callable(given) or isinstance(given, Mapping)):
        raise ValidationError.of("Book", "lead", given, "must be a number of days, a mapping by kind, or a function")
    return given


def _checked_exchange(given: Exchange | None) -> Exchange | None:
    if given is not None and not callable(given):
        raise ValidationError.of("Book", "exchange", given, "must be a function of a currency and a day")
    return given


def _checked_facts(given: Lake | None) -> Lake | None:
    if given is not None and not all(callable(getattr(given, name, None)) for name in ("holds", "turnover")):
        raise ValidationError.of("Book", "facts", given, "must be a keyaccount.frames.FrameFacts")
    return given


def _checked_providers(given: object) -> tuple[Provider, ...]:
    if not isinstance(given, (list, tuple)) or not all(isinstance(p, Provider) for p in given):
        raise ValidationError.of("Book", "providers", given, "must be a list of Provider")
    names = [provider.name for provider in given]
    if len(set(names)) < len(names):
        raise ValidationError.of("Book", "providers", names, "has two of one name")
    return tuple(given)
