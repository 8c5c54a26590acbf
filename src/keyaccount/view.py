"""The one row source of a desk: every read and write of a call goes through its view."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from itertools import chain
from typing import Any, TypeVar, cast

import attrs

from keyaccount import access
from keyaccount.calendars import ONE_DAY
from keyaccount.catalogue import Kind, kind_of
from keyaccount.contracts import LEAD_DAYS, Lead
from keyaccount.errors import AccessDenied, NotFound, ValidationError
from keyaccount.model.entity import Entity
from keyaccount.model.organisations import Organisation
from keyaccount.model.organogram import Unit, User
from keyaccount.model.rights import KEY_ACCOUNT_MANAGER, Assignment, BreakGlass, Grant, Right, Substitution
from keyaccount.queries import Query, Test, Total, Totals, Window, above, below, conditions, one_of, ordering, place
from keyaccount.requests import Request
from keyaccount.spans import in_force
from keyaccount.storage import Act, StorageUnit
from keyaccount.turnover import Lake

E = TypeVar("E", bound=Entity)
STREAMED = 2_000


def current_task() -> tuple[int, int, int | None]:
    """Return which process, which thread in it, and which asyncio task in that, is running."""
    asyncio = sys.modules.get("asyncio")
    task = None
    if asyncio is not None:
        try:
            task = asyncio.current_task()
        except RuntimeError:
            task = None
    return os.getpid(), threading.get_ident(), None if task is None else id(task)


@attrs.define(eq=False)
class Work:
    """An open unit of work: what a transaction, or a single call, does to the storage.

    `joined` says that it is a transaction, in which more calls may follow.
    """

    unit: StorageUnit
    act: Act
    policy: access.AccessPolicy
    lead: Lead = LEAD_DAYS
    lake: Lake | None = None
    request: Request | None = None
    replays: bool = False
    joined: bool = False
    closed: bool = False
    owner: tuple[int, int, int | None] = attrs.field(factory=current_task)
    to_manage: dict[str, str] = attrs.field(factory=dict)

    @contextmanager
    def nested(self) -> Iterator[None]:
        """Let a call inside a transaction leave nothing behind where it raises."""
        to_manage, request = dict(self.to_manage), self.request and self.request.copy()
        try:
            with self.unit.nested():
                yield
        except BaseException:
            self.to_manage, self.request = to_manage, request
            raise

    @contextmanager
    def once(self, call: str, *given: object) -> Iterator[bool]:
        """Let a call count, under an idempotency key, by what it is given and not by what it writes.

        Yields whether to make it: not where it was made before.
        """
        request = self.request
        if request is not None:
            request.call(call, *given)
        self.request = None
        try:
            yield not self.replays
        finally:
            self.request = request

    def asked(self) -> None:
        """Finish a transaction with an idempotency key: note what was asked, or compare with the first time."""
        if self.request is None:
            return
        digest = self.request.digest()
        if not self.replays:
            self.act = attrs.evolve(self.act, request=digest)
            self.unit.write(self.act, ())
        elif digest != self.act.request:
            raise ValidationError.of("transaction", "key", self.act.key, "was used before, for something else")

    def settle(self, today: date) -> None:
        """Check what must hold when the transaction commits: a private account has a manager in force."""
        ids = tuple(self.to_manage)
        if not ids:
            return
        view = View(self, None, today, self.act.at)
        organisations, assignments = view.gather(
            view.query(Organisation, id=one_of(ids)), view.query(Assignment, organisation_id=one_of(ids))
        )
        managed = view.managed(cast("list[Assignment]", assignments))
        for organisation in cast("list[Organisation]", organisations):
            if organisation.private and organisation.id not in managed:
                raise ValidationError.of(
                    f"Organisation {organisation.id!r}", "private", value=True, reason=self.to_manage[organisation.id]
                )


class View:
    """What one desk sees in one call: its reader's rows at one state, and the gate to write through.

    `reader` is None for a trusted desk. `today` and `now` are the book clock's.
    """

    __slots__ = ("now", "reader", "today", "work")

    def __init__(self, work: Work, reader: access.Reader | None, today: date, now: datetime) -> None:
        """Bind a unit of work to a reader."""
        self.work, self.reader, self.today, self.now = work, reader, today, now

    # -- reading

    def query(
        self,
        cls: type[Entity],
        *,
        order: str | Iterable[str] | None = None,
        limit: int | None = None,
        searching: str | None = None,
        holding: Right = Right.READ,
        latest: tuple[str, str] | None = None,
        **given: Any,
    ) -> Query:
        """Make a query of this view's reader, with conditions by field."""
        kind = kind_of(cls)
        where = conditions(kind, given, inner=True)
        return Query(kind, where, searching, self.reader, holding, ordering(kind, order), limit, latest=latest)

    def where(self, cls: type[Entity], given: Mapping[str, Any], *, limit: int | None = None) -> Query:
        """Make a query from conditions in a mapping."""
        kind = kind_of(cls)
        return Query(kind, conditions(kind, given), reader=self.reader, limit=limit)

    def until(self, on: date) -> datetime:
        """Return the last moment of a day that has come: what is put in for later did not happen yet."""
        return min(self.now, datetime.combine(on + ONE_DAY, time(), self.now.tzinfo) - timedelta(microseconds=1))

    def gather(self, *queries: Query) -> list[list[Entity]]:
        """Answer several queries in one round trip."""
        return self.work.unit.gather(queries)

    def find(self, cls: type[E], **given: Any) -> list[E]:
        """Return the readable records of a kind that meet the conditions."""
        return cast("list[E]", list(self.work.unit.find(self.query(cls, **given))))

    def columns(self, cls: type[Entity], *fields: str, **given: Any) -> Iterator[tuple[Any, ...]]:
        """Return some fields alone of the readable records of a kind that meet the conditions."""
        return self.work.unit.columns(self.query(cls, **given), fields)

    def stream(self, kind: Kind, **given: Any) -> Iterator[Entity]:
        """Yield the readable records of a kind that meet conditions, by id, page by page, at one state."""
        query = attrs.evolve(self.query(kind.cls, order="id", **given), limit=STREAMED)
        while rows := self.work.unit.gather([query])[0]:
            yield from rows
            query = attrs.evolve(query, after=place(query, rows[-1]))

    def get(self, cls: type[E], id: str) -> E:
        """Return one readable record, or raise NotFound."""
        kind = kind_of(cls)
        _check_id(kind, id)
        found = self.find(cls, id=id)
        if not found:
            raise NotFound(kind.name, id)
        return found[0]

    def count(self, query: Query) -> int:
        """Count the rows of a query."""
        return next(iter(self.work.unit.totals(query))).count

    def totals(
        self,
        query: Query,
        by: Collection[str] = (),
        windows: Sequence[Window] = (),
        *,
        sums: Collection[str] = (),
        lows: Collection[str] = (),
        highs: Collection[str] = (),
        counted: bool = True,
    ) -> Iterator[Total]:
        """Total the rows of a query, by fields and in windows; see `Totals`."""
        return self.work.unit.totals(query, Totals(by, windows, sums, lows, highs, counted))

    def readable(self, cls: type[Entity], ids: Collection[str], right: Right = Right.READ) -> set[str]:
        """Return those of some ids that the reader holds a right on."""
        wanted = [id for id in ids if isinstance(id, str) and id]
        return {row.key for row in self.find(cls, id=one_of(wanted), holding=right)} if wanted else set()

    # -- rights

    def trusted(self) -> View:
        """Return the unrestricted view of the same work: for the gate and the rule alone, never for an answer."""
        return View(self.work, None, self.today, self.now)

    def decide(self, organisation_id: str, right: Right) -> access.Decision:
        """Decide about one readable organisation, with every reason; NotFound where it cannot be read."""
        organisation, claims = self.claims_on(organisation_id)
        return access.decide(self.reader, organisation, claims, right=right)

    def claims_on(self, organisation_id: str) -> tuple[Organisation, list[access.Claim]]:
        """Read a readable organisation as it is, with the claims on it and the covering ones above: for the rule alone.

        NotFound where it cannot be read. One round trip, and two more where something stands above it.
        """
        kind = kind_of(Organisation)
        _check_id(kind, organisation_id)
        here = Test("is", organisation_id)
        readable, raw, *own = self.gather(
            self.query(Organisation, id=organisation_id),
            _asked(Organisation, id=here),
            *(_asked(cls, organisation_id=here) for cls in (Assignment, Grant, BreakGlass)),
        )
        if not readable:
            raise NotFound(kind.name, organisation_id)
        organisation = cast("Organisation", raw[0])
        rows = [*chain.from_iterable(own), *self._covering(organisation.parent_id)]
        found = cast("list[Assignment | Grant | BreakGlass]", rows)
        return organisation, list(access.claims(found, inactive=self._inactive(organisation, found)))

    def _covering(self, parent_id: str | None) -> Iterator[Entity]:
        """Read the claims that cover subsidiaries on an organisation and on those above it."""
        if parent_id is None:
            return
        lineage = self.work.unit.find(_asked(Organisation, id=above((parent_id,))))
        where = {"organisation_id": one_of([row.key for row in lineage]), "covers_subsidiaries": Test("is", value=True)}
        yield from chain.from_iterable(self.gather(_asked(Assignment, **where), _asked(Grant, **where)))

    def _inactive(self, organisation: Organisation, records: Iterable[object]) -> set[str]:
        """Return which users of some assignments are not active; asked only where a deputy's right depends on it."""
        if not (organisation.private and self.work.policy.deputies_see_private):
            return set()
        assigned = [row.user_id for row in records if isinstance(row, Assignment)]
        return {user.id for user in self.trusted().find(User, id=one_of(assigned), active=False)}

    def managed(self, assignments: Iterable[Assignment]) -> set[str]:
        """Return the organisations that have an active key account manager in force today among some assignments."""
        leading = [a for a in assignments if a.role == KEY_ACCOUNT_MANAGER and in_force(a, self.today)]
        users = self.trusted().find(User, id=one_of([a.user_id for a in leading])) if leading else []
        active = {user.id for user in users if user.active}
        return {a.organisation_id for a in leading if a.organisation_id and a.user_id in active}

    def need_trusted(self, what: str) -> None:
        """Refuse a bound desk a call that makes sense for trusted ones only."""
        if self.reader is not None:
            raise AccessDenied(f"{what} is for trusted desks only; use book.trusted(...)")


def resolve(unit: StorageUnit, user_id: str, policy: access.AccessPolicy, now: datetime) -> access.Reader:
    """Resolve the user of a bound desk; raise AccessDenied where they are gone or not active.

    Two round trips, and a third for the heads of units where the policy has oversight. What is asked with was checked
    as it came in, and is not checked again: this is part of each call.
    """
    found, standing_in, headed = _gathered(
        unit,
        _asked(User, id=Test("is", user_id)),
        _asked(Substitution, deputy_id=Test("is", user_id)),
        _asked(Unit, head_id=Test("is", user_id)) if policy.oversight else None,
    )
    user = cast("User | None", found[0] if found else None)
    if user is None or not user.active:
        raise AccessDenied("the user of this desk is not active")
    substitutions = cast("list[Substitution]", standing_in)
    units, absent, under = _gathered(
        unit,
        _asked(Unit, id=above(user.unit_ids)) if user.unit_ids else None,
        _asked(User, id=one_of([s.user_id for s in substitutions])) if substitutions else None,
        _asked(Unit, id=below([one.key for one in headed])) if headed else None,
    )
    overseen = _asked(User, unit_ids=one_of([one.key for one in under])) if under else None
    return access.reader(
        user,
        cast("list[Unit]", units),
        policy,
        now,
        substitutions=substitutions,
        absent=cast("list[User]", absent),
        oversees=cast("list[User]", _gathered(unit, overseen)[0]),
    )


def _asked(cls: type[Entity], **where: Test) -> Query:
    """Make a question of our own, whoever may see the answer."""
    return Query(kind_of(cls), tuple(where.items()))


def _gathered(unit: StorageUnit, *queries: Query | None) -> list[list[Entity]]:
    """Answer questions in one round trip, or in none; nothing answers those that are left out."""
    wanted = [query for query in queries if query is not None]
    answers = iter(unit.gather(wanted) if wanted else ())
    return [[] if query is None else next(answers) for query in queries]


def readers(view: View, at: Callable[[str], datetime]) -> Iterator[access.Reader]:
    """Yield a reader for every active user, by id, each at a moment: for the auditor's question, on a trusted view."""
    users, units, standing_in = view.gather(view.query(User, order="id"), view.query(Unit), view.query(Substitution))
    organogram, people = cast("list[Unit]", units), cast("list[User]", users)
    below_heads = _belonging(organogram, people) if view.work.policy.oversight else {}
    for user in people:
        if user.active:
            yield access.reader(
                user,
                organogram,
                view.work.policy,
                at(user.id),
                substitutions=cast("list[Substitution]", standing_in),
                absent=people,
                oversees=below_heads.get(user.id, ()),
            )


def _belonging(units: list[Unit], users: list[User]) -> dict[str, list[User]]:
    """Return for every head the users who belong to the units they head, and to those below."""
    up = {unit.id: unit for unit in units}
    found: dict[str, dict[str, User]] = {}
    for user in users:
        walked: set[str] = set()
        for own in user.unit_ids:
            at = up.get(own)
            while at is not None and at.id not in walked:
                walked.add(at.id)
                if at.head_id is not None:
                    found.setdefault(at.head_id, {})[user.id] = user
                at = up.get(at.parent_id or "")
    return {head: list(under.values()) for head, under in found.items()}


def _check_id(kind: Kind, id: object) -> None:
    if not isinstance(id, str):
        raise ValidationError.of(kind.name, "id", id, "must be an id (text)")


def by_id(rows: Iterable[E]) -> Mapping[str, E]:
    """Arrange rows by their ids."""
    return {row.key: row for row in rows}
