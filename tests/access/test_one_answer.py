"""The same question through every door gets the same answer, while rights change between the calls."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from random import Random
from typing import Any

import attrs
import pytest

import keyaccount as ka
from access import organograms, test_three_ways, tiny_model
from access.tiny_model import Company
from keyaccount.model.entity import Entity

SEEDS, STEPS = range(12), 16
PAGES = (1, 2, 3, 500)
ORDERS: tuple[str | tuple[str, ...] | None, ...] = (None, "name", "-id", ("parent_id", "-name"))
DEEP, SECONDS = 5_000, 5.0
SMALL_PAGE = 2
UNKNOWN = "nowhere"


# ---- a book that changes ---------------------------------------------------------------------------------------------


class Walk:
    """A book of a random company, with a clock that can be turned, a trusted desk that changes it, and open desks."""

    def __init__(self, seed: int) -> None:
        """Write the company of a seed."""
        self.random = Random(seed)  # noqa: S311 - a test's choices, not a secret
        self.start = organograms.company(seed)
        self.now = self.start.now
        self.book = test_three_ways.book(self.start, lambda: self.now)
        self.office = self.book.trusted("office")
        self.desks = {u.id: self.book.desk(u.id) for u in self.start.users if u.active}

    def step(self) -> None:
        """Change something; what the library refuses (a cycle, a private account left alone) changes nothing."""
        with suppress(ka.ValidationError):
            self.random.choice(CHANGES)(self)

    def company(self) -> Company:
        """Read the book back for the tiny model."""
        find = self.office.find
        return _made_like(
            self.start,
            self.book.now(),
            units=tuple(tiny_model.Unit(u.id, u.parent_id, u.head_id) for u in find(ka.Unit)),
            users=tuple(tiny_model.User(u.id, u.unit_ids, u.active) for u in find(ka.User)),
            organisations=tuple(tiny_model.Organisation(o.id, o.parent_id, o.private) for o in find(ka.Organisation)),
            assignments=tuple(map(_assignment, find(ka.Assignment))),
            grants=tuple(map(_grant, find(ka.Grant))),
            substitutions=tuple(
                tiny_model.Substitution(s.user_id, s.deputy_id, _span(s)) for s in find(ka.Substitution)
            ),
            glasses=tuple(map(_glass, find(ka.BreakGlass))),
        )

    def one(self, kind: type[Entity]) -> Any:
        """Choose a record of a kind."""
        return self.random.choice([*self.office.find(kind)])

    def user(self) -> str:
        """Choose a user."""
        return self.random.choice(self.start.users).id

    def account(self) -> str:
        """Choose an account."""
        return self.random.choice(self.start.organisations).id

    def maybe(self) -> bool:
        """Toss a coin."""
        return self.random.random() < 0.5

    def span(self) -> Mapping[str, Any]:
        """Choose from when and until when, around today."""
        today = self.book.now().date()
        days = self.random.choice(((0, None), (0, 0), (0, 1), (-3, -1), (1, None), (-2, 0)))
        first, last = (None if day is None else today + timedelta(days=day) for day in days)
        return {"from_": first, "until": last}


def _made_like(start: Company, now: Any, **rows: Any) -> Company:
    """Make a company with the policy and zone of another."""
    return Company(now=now, policy=start.policy, zone=start.zone, **rows)


def _span(row: Any) -> tiny_model.Span:
    return tiny_model.Span(row.valid_from, row.valid_until)


def _assignment(a: ka.Assignment) -> tiny_model.Assignment:
    assert a.organisation_id is not None
    return tiny_model.Assignment(a.user_id, a.organisation_id, a.role, a.covers_subsidiaries, _span(a))


def _grant(g: ka.Grant) -> tiny_model.Grant:
    principal = g.principal
    return tiny_model.Grant(
        principal.kind, principal.id, g.organisation_id, int(g.right), g.covers_subsidiaries, _span(g)
    )


def _glass(g: ka.BreakGlass) -> tiny_model.Glass:
    assert g.opens_at is not None
    assert g.closes_at is not None
    return tiny_model.Glass(g.user_id, g.organisation_id, g.opens_at, g.closes_at)


# ---- changes ---------------------------------------------------------------------------------------------------------


def _assign(walk: Walk) -> None:
    role = walk.random.choice((ka.KEY_ACCOUNT_MANAGER, ka.DEPUTY, ka.TEAM_MEMBER))
    walk.office.people.assign(
        walk.user(), organisation=walk.account(), role=role, covers_subsidiaries=walk.maybe(), **walk.span()
    )


def _end(walk: Walk) -> None:
    on = None if walk.maybe() else walk.now.date() + timedelta(days=walk.random.choice((-1, 0, 1)))
    walk.office.people.end_assignment(walk.one(ka.Assignment).id, on=on)


def _give(walk: Walk) -> None:
    principal = walk.random.choice((ka.user(walk.user()), ka.unit(walk.one(ka.Unit).id), ka.EVERYONE))
    right = walk.random.choice((*ka.Right,))
    walk.office.people.grant(
        walk.account(), principal=principal, right=right, covers_subsidiaries=walk.maybe(), **walk.span()
    )


def _revoke(walk: Walk) -> None:
    walk.office.people.revoke(walk.one(ka.Grant).id)


def _make_private(walk: Walk) -> None:
    walk.office.people.make_private(walk.account())


def _open_up(walk: Walk) -> None:
    walk.office.people.open_up(walk.account())


def _deputise(walk: Walk) -> None:
    walk.office.people.deputise(walk.user(), for_user=walk.user(), **walk.span())


def _switch(walk: Walk) -> None:
    user = walk.office.get(ka.User, walk.user())
    walk.office.put(attrs.evolve(user, active=not user.active))


def _move_user(walk: Walk) -> None:
    user = walk.office.get(ka.User, walk.user())
    walk.office.put(attrs.evolve(user, unit_ids=(walk.one(ka.Unit).id,) if walk.maybe() else ()))


def _move_account(walk: Walk) -> None:
    account = walk.office.get(ka.Organisation, walk.account())
    walk.office.put(attrs.evolve(account, parent_id=walk.account() if walk.maybe() else None))


def _move_unit(walk: Walk) -> None:
    unit = walk.one(ka.Unit)
    walk.office.put(attrs.evolve(unit, parent_id=walk.one(ka.Unit).id if walk.maybe() else None, head_id=walk.user()))


def _break_glass(walk: Walk) -> None:
    stewards = sorted(walk.start.policy.stewards)
    with suppress(ka.NotFound):  # an inactive steward has no desk
        for steward in stewards[:1]:
            account = walk.account()
            walk.book.desk(steward).people.break_glass(account, reason="a test", minutes=walk.random.randint(1, 90))


def _later(walk: Walk) -> None:
    walk.now += walk.random.choice(
        (timedelta(minutes=1), timedelta(minutes=29), timedelta(hours=11), timedelta(days=1))
    )


def _hand_over(walk: Walk) -> None:
    walk.office.people.hand_over(walk.user(), walk.user())


CHANGES: tuple[Callable[[Walk], None], ...] = (
    _assign,
    _assign,
    _end,
    _end,
    _give,
    _give,
    _revoke,
    _make_private,
    _make_private,
    _open_up,
    _deputise,
    _switch,
    _move_user,
    _move_account,
    _move_unit,
    _break_glass,
    _break_glass,
    _later,
    _hand_over,
)


# ---- doors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_every_door_gives_one_answer(seed: int) -> None:
    """Check, list, count, search, the host's ids, the auditor, explanation and writes agree with the model, always."""
    walk = Walk(seed)
    for _ in range(STEPS):
        walk.step()
        company = walk.company()
        active = [user.id for user in company.users if user.active]
        _shut(walk, set(active))
        auditor = {o.id: _readers(walk.office, o.id) for o in company.organisations}
        for user in walk.random.sample(active, 2):
            rights = {o.id: tiny_model.right(company, user, o.id) for o in company.organisations}
            assert {id: found[user] for id, found in auditor.items() if user in found} == _some(rights)
            _listings(walk, walk.desks.setdefault(user, walk.book.desk(user)), rights)
            _checks(walk.desks[user], rights)
            _writes(walk, walk.desks[user], rights)


def _shut(walk: Walk, active: set[str]) -> None:
    """Check that the desks of users who are active no more answer nothing."""
    for user in walk.desks.keys() - active:
        with pytest.raises(ka.AccessDenied):
            walk.desks[user].count(ka.Organisation)


def _some(rights: Mapping[str, int]) -> dict[str, int]:
    return {id: right for id, right in rights.items() if right}


def _readers(office: ka.Desk, organisation: str) -> dict[str, int]:
    decisions = office.people.who_may_read(organisation)
    return {d.user_id: int(d.right) for d in decisions if d.user_id is not None and d.right is not None}


def _listings(walk: Walk, desk: ka.Desk, rights: Mapping[str, int]) -> None:
    """Compare everything that lists with the rights that are expected."""
    readable = set(_some(rights))
    for order in ORDERS:
        whole = [row.id for row in desk.find(ka.Organisation, order=order)]
        assert (len(whole), set(whole)) == (len(readable), readable)
        assert _paged(desk, order, walk.random.choice(PAGES)) == whole
    parents = [(row.parent_id is None, row.parent_id) for row in desk.find(ka.Organisation, order="parent_id")]
    assert parents == sorted(parents, key=str)
    assert {parent for _, parent in parents if parent} <= readable
    assert desk.count(ka.Organisation) == len(readable)
    assert {hit.id for hit in desk.search("Account", limit=500)} == readable
    asked = [*rights, UNKNOWN, *rights, ""]
    walk.random.shuffle(asked)
    assert desk.readable_ids(asked) == [id for id in asked if id in readable]


def _paged(desk: ka.Desk, order: str | tuple[str, ...] | None, size: int) -> list[str]:
    """Read all pages of a size, by their cursors."""
    found: list[str] = []
    after: str | None = None
    while True:
        page = desk.find(ka.Organisation, order=order, limit=size, after=after)
        found += [row.id for row in page]
        after = page.cursor
        if after is None:
            return found


def _checks(desk: ka.Desk, rights: Mapping[str, int]) -> None:
    """Compare single questions, and explanations, with the rights that are expected."""
    for id, held in rights.items():
        hits = [hit.id for hit in desk.search(f"Account {id}")]
        if not held:
            assert id not in hits
            assert _refusal(desk.may, id) == _refusal(desk.may, UNKNOWN).replace(UNKNOWN, id)
            assert _refusal(desk.get, ka.Organisation, id) == _refusal(desk.may, id)
            continue
        assert id in hits
        assert desk.get(ka.Organisation, id).id == id
        for right in ka.Right:
            decision = desk.may(id, right)
            assert (bool(decision), decision.right) == (held >= right, held)
            assert max(reason.right for reason in decision.reasons) == held
            assert bool(decision.would_grant) is not bool(decision)


def _refusal(call: Callable[..., object], *given: Any) -> str:
    with pytest.raises(ka.NotFound) as refused:
        call(*given)
    return str(refused.value)


def _writes(walk: Walk, desk: ka.Desk, rights: Mapping[str, int]) -> None:
    """Try to change, and to administer, some accounts; nothing of it is kept."""
    before = [row.to_dict() for row in walk.office.find(ka.Organisation)]
    for id in walk.random.sample(sorted(rights), 4):
        held, stored = rights[id], walk.office.get(ka.Organisation, id)
        row = desk.get(ka.Organisation, id) if held else stored
        refused: type[ka.KeyAccountError] = ka.AccessDenied if held else ka.NotFound
        changed = attrs.evolve(row, website="https://changed.example")
        assert _attempt(desk, desk.put, changed) is (None if held >= ka.Right.CHANGE else refused)
        shielded = attrs.evolve(row, private=not stored.private)
        administers = held >= ka.Right.ADMINISTER
        assert _attempt(desk, desk.put, shielded) is (None if administers else refused)
        unknown = ka.AccessDenied if held else ka.ValidationError
        assert _attempt(desk, _granting, desk, id) is (None if administers else unknown)
    assert [row.to_dict() for row in walk.office.find(ka.Organisation)] == before


def _granting(desk: ka.Desk, organisation: str) -> None:
    desk.people.grant(organisation, principal=ka.EVERYONE, right=ka.Right.READ)


class _UndoError(Exception):
    """Undoes a transaction."""


def _undo() -> None:
    raise _UndoError


def _attempt(desk: ka.Desk, act: Callable[..., object], *given: Any) -> type[Exception] | None:
    """Act in a transaction that is undone; return the type of the library's refusal."""
    try:
        with desk.transaction():
            act(*given)
            _undo()
    except _UndoError:
        pass
    except ka.KeyAccountError as error:
        return type(error)
    return None


# ---- half-read results -----------------------------------------------------------------------------------------------


@contextmanager
def small_pages() -> Iterator[None]:
    """Let a `find` read few records at a time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("keyaccount.found.PAGE", SMALL_PAGE)
        yield


@pytest.mark.parametrize("seed", SEEDS)
def test_next_page_has_the_rights_of_its_moment(seed: int) -> None:
    """A result half read shows, from its next page on, what may be read after the change, and nothing else."""
    walk = Walk(seed + len(SEEDS))
    for _ in range(STEPS):
        user = walk.random.choice([u.id for u in walk.office.find(ka.User, active=True)])
        desk = walk.desks.setdefault(user, walk.book.desk(user))
        with small_pages():
            rows = iter(desk.find(ka.Organisation))
            first = [row.id for row in [next(rows, None)] if row is not None]
            read = [row.id for row in desk.find(ka.Organisation, limit=SMALL_PAGE)]
            total = desk.count(ka.Organisation)
        walk.step()
        company = walk.company()
        with small_pages():
            if user not in {u.id for u in company.users if u.active}:
                _denied_at_next_page(rows, more=total > SMALL_PAGE)
                continue
            later = [o.id for o in company.organisations if read and o.id > read[-1]]
            expected = [id for id in later if tiny_model.right(company, user, id)] if total > SMALL_PAGE else []
            assert first + [row.id for row in rows] == [*read, *expected]


def _denied_at_next_page(rows: Iterator[ka.Organisation], *, more: bool) -> None:
    if more:
        with pytest.raises(ka.AccessDenied):
            list(rows)
    else:
        list(rows)


def _office_with(count: int) -> tuple[ka.Desk, ka.Desk]:
    book = ka.open(policy=ka.AccessPolicy(default=None))
    office = book.trusted("office")
    office.put(ka.User("volker", name="Volker"))
    office.put_many(ka.Organisation(f"o{n:04}", name=f"Account {n}") for n in range(count))
    return office, book.desk("volker")


def test_after_a_revocation_the_next_call_and_the_next_page_deny() -> None:
    """Once `revoke` has returned, no door opens any more: not the next call, not the rest of a result, not a cursor."""
    office, desk = _office_with(1_200)
    grants = [office.people.grant(f"o{n:04}", principal=ka.user("volker"), right=ka.Right.READ) for n in range(1_200)]
    found = desk.find(ka.Organisation)
    rows, page = iter(found), desk.find(ka.Organisation, limit=10)
    read = [next(rows).id for _ in range(10)]
    cursor = page.cursor
    for grant in grants[5:]:
        office.people.revoke(grant.id)
    rest = [row.id for row in rows]
    assert [*read, *rest] == [f"o{n:04}" for n in range(500)]  # the page that was read before
    assert [row.id for row in desk.find(ka.Organisation, limit=10, after=cursor)] == []
    assert [row.id for row in found] == [f"o{n:04}" for n in range(500)]
    assert (len(found), desk.count(ka.Organisation)) == (5, 5)
    with pytest.raises(ka.NotFound):
        desk.may("o0005")


# ---- depth -----------------------------------------------------------------------------------------------------------


def _deep() -> tuple[ka.Desk, ka.Desk, ka.Desk]:
    """Return the office, the desk of who belongs to the lowest unit, and that of the head of the highest."""
    book = ka.open(policy=ka.AccessPolicy(default=None, oversight=ka.Right.CHANGE))
    office = book.trusted("office")
    office.put_many(ka.Unit(f"u{n:04}", name=f"Unit {n}", parent_id=f"u{n - 1:04}" if n else None) for n in range(DEEP))
    office.put(ka.User("low", name="Low", unit_ids=(f"u{DEEP - 1:04}",)), ka.User("head", name="Head"))
    office.put(attrs.evolve(office.get(ka.Unit, "u0000"), head_id="head"))
    office.put_many(
        ka.Organisation(f"o{n:04}", name=f"Account {n}", parent_id=f"o{n - 1:04}" if n else None) for n in range(DEEP)
    )
    return office, book.desk("low"), book.desk("head")


def test_depth_is_no_obstacle() -> None:
    """Five thousand units above a user and five thousand parents above an account are answered, and soon."""
    office, low, head = _deep()
    deepest = f"o{DEEP - 1:04}"
    office.people.grant("o0000", principal=ka.unit("u0000"), right=ka.Right.READ, covers_subsidiaries=True)
    office.people.assign("low", organisation="o0001", covers_subsidiaries=True)
    office.put(ka.ServiceNote(organisation_id="o0000", text="for all", for_subsidiaries=True))
    for desk, right in ((low, ka.Right.ADMINISTER), (head, ka.Right.CHANGE)):
        assert _soon(desk.may, deepest, right)
        assert _soon(desk.count, ka.Organisation) == DEEP - (desk is head)
        assert _soon(_last, desk) == deepest
        notes = _soon(desk.notes, organisation=deepest, context="crm")
        assert ("for all" in {note.text for note in notes}) is (desk is low)
    assert len(_soon(low.mine)) == DEEP - 1
    assert [d.user_id for d in _soon(office.people.who_may_read, deepest)] == ["head", "low"]


def _last(desk: ka.Desk) -> str:
    return desk.find(ka.Organisation, order="-id", limit=1)[0].id


def _soon(call: Callable[..., Any], *given: Any, **named: Any) -> Any:
    """Call, and check that the processor was done within seconds."""
    begun = time.process_time()
    answer = call(*given, **named)
    assert time.process_time() - begun < SECONDS
    return answer
