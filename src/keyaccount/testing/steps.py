"""Calls at desks, drawn at random: what the state machine does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

import attrs
from hypothesis import strategies as st

from keyaccount.catalogue import KINDS, Kind
from keyaccount.desk import Desk
from keyaccount.errors import KeyAccountError
from keyaccount.model.contacts import Contact
from keyaccount.model.entity import evolved
from keyaccount.model.organisations import Organisation
from keyaccount.model.organogram import User
from keyaccount.model.rights import DEPUTY, EVERYONE, KEY_ACCOUNT_MANAGER, TEAM_MEMBER, Right, unit, user
from keyaccount.queries import Test, at_least, at_most, is_none, one_of
from keyaccount.shapes import One, Pairs
from keyaccount.testing.drawn import entities, values
from keyaccount.testing.records import TODAY, stored_fields
from keyaccount.testing.worlds import ACCOUNTS, CONTACTS, PEOPLE, UNITS

_PAGES = 6
_SOON = st.sampled_from((None, TODAY - timedelta(1), TODAY, TODAY + timedelta(1)))
_CONTEXTS = st.sampled_from(("crm", "documents", "documents.invoice", "phone", "nowhere"))
_NUMBERS = st.sampled_from(("+49 89 12345", "089 1234567", "0171 5557788", "+49 30 99", "112", "nobody"))
_NEEDLES = st.sampled_from(("a", "acme", "STRASSE", "555 77", "ada@acme", "be", "o1", "%", ""))
_NEW = tuple(f"new{n}" for n in range(4))
_KNOWN: Mapping[str, tuple[str, ...]] = {
    "Unit": UNITS,
    "User": PEOPLE,
    "Organisation": ACCOUNTS,
    "Contact": CONTACTS,
    "Position": tuple(f"p{n:02}" for n in range(14)),
    "Assignment": tuple(f"a{n:02}" for n in range(24)),
    "Grant": tuple(f"g{n}" for n in range(9)),
    "Substitution": tuple(f"s{n}" for n in range(4)),
    "ServiceNote": tuple(f"n{n:02}" for n in range(14)),
    "Activity": tuple(f"y{n:02}" for n in range(12)),
    "Alias": tuple(f"l{n}" for n in range(6)),
    "Acknowledgement": tuple(f"k{n}" for n in range(10)),
}


@attrs.frozen
class Step:
    """One call at one desk (None: a trusted one), with the words for it."""

    desk: str | None
    words: str
    call: Callable[[Desk], Any] = attrs.field(repr=False)


def steps(*, writing: bool = False) -> st.SearchStrategy[Step]:
    """Draw a call; `writing` ones are mostly those that change something."""
    desks = st.none() | st.sampled_from(PEOPLE)
    calls = st.one_of(*_WRITING, *_READING[:2]) if writing else st.one_of(*_READING, *_WRITING)
    return st.builds(lambda desk, drawn: Step(desk, drawn[0], drawn[1]), desks, calls)


Drawn = tuple[str, Callable[[Desk], Any]]


def _ids(kind: str) -> st.SearchStrategy[str]:
    return st.sampled_from((*_KNOWN.get(kind, ()), *_NEW, "nowhere"))


_KIND = st.sampled_from([KINDS[name] for name in _KNOWN])


# ---- reading -----------------------------------------------------------------------------------------------------


@st.composite
def _conditions(draw: st.DrawFn, kind: Kind) -> dict[str, Any]:
    """Draw conditions on a few fields, that mostly fit them."""
    found: dict[str, Any] = {}
    for field in draw(st.lists(st.sampled_from(sorted(kind.shapes)), max_size=2, unique=True)):
        link, shape = kind.link(field), kind.shapes[field]
        item = getattr(shape, "item", shape)
        one = _ids(link.kind) if link else _ids(kind.name) if field == "id" else values(item)
        value = draw(one)
        found[field] = draw(
            st.sampled_from((value, one_of([value, draw(one)]), is_none, at_least(value), at_most(value)))
        )
    return found


@st.composite
def _finds(draw: st.DrawFn) -> Drawn:
    kind = draw(_KIND)
    given = draw(_conditions(kind))
    scalar = [f for f, shape in kind.shapes.items() if not shape.many and not isinstance(shape, (One, Pairs))]
    order = tuple(draw(st.lists(st.sampled_from([s + f for f in scalar for s in ("", "-")]), max_size=2)))
    limit = draw(st.none() | st.integers(0, 4))
    return f"find {kind.name} {_worded(given)} {order} {limit}", lambda desk: _paged(desk, kind, given, order, limit)


def _worded(given: Mapping[str, Any]) -> str:
    return ", ".join(f"{f} {v.op} {v.value!r}" if isinstance(v, Test) else f"{f}={v!r}" for f, v in given.items())


def _paged(desk: Desk, kind: Kind, given: Mapping[str, Any], order: tuple[str, ...], limit: int | None) -> Any:
    """Read the first few pages."""
    pages, after = [], None
    for _ in range(_PAGES):
        found = desk.find(kind.cls, order=order, limit=limit, after=after, **given)
        pages.append((list(found), len(found)))
        after = found.cursor
        if after is None:
            break
    return pages


@st.composite
def _counts(draw: st.DrawFn) -> Drawn:
    kind = draw(_KIND)
    given = draw(_conditions(kind))
    return f"count {kind.name} {_worded(given)}", lambda desk: desk.count(kind.cls, **given)


@st.composite
def _gets(draw: st.DrawFn) -> Drawn:
    kind = draw(_KIND)
    id = draw(_ids(kind.name))
    call = draw(st.sampled_from(("get", "history", "ref")))
    if call == "ref":
        return f"get {kind.name} by ref {id!r}", lambda desk: desk.get(kind.cls, ref=("erp", id))
    return f"{call} {kind.name} {id!r}", lambda desk: getattr(desk, call)(kind.cls, id)


def _asked(name: str, call: Callable[..., Any], *given: st.SearchStrategy[Any]) -> st.SearchStrategy[Drawn]:
    """Draw the operands of one call."""
    return st.tuples(*given).map(lambda drawn: (f"{name} {_listed(drawn)}", lambda desk: call(desk, *drawn)))


def _around(desk: Desk, kind: Kind, grant: str) -> Any:
    """Read a page, take a grant back, read on: what is lost is lost between two pages."""
    found = desk.find(kind.cls, limit=2)
    pages, after = [list(found)], found.cursor
    with suppress(KeyAccountError):
        desk._book.trusted("the kit").people.revoke(grant)
    return [*pages, list(desk.find(kind.cls, limit=9, after=after))]


def _listed(operands: tuple[Any, ...]) -> str:
    return ", ".join(one.name if isinstance(one, Kind) else repr(one) for one in operands)


_ACCOUNT, _PERSON, _WHO = _ids("Organisation"), _ids("Contact"), _ids("User")
_READING: Sequence[st.SearchStrategy[Drawn]] = (
    _finds(),
    _gets(),
    _counts(),
    _finds(),
    _asked("search", lambda desk, text, limit: desk.search(text, limit=limit), _NEEDLES, st.integers(0, 5)),
    _asked("may", lambda desk, one, right: desk.may(one, right), _ACCOUNT, st.sampled_from(Right)),
    _asked(
        "notes",
        lambda desk, o, c, context, on: desk.notes(organisation=o, contact=c, context=context, on=on),
        st.none() | _ACCOUNT,
        st.none() | _PERSON,
        _CONTEXTS,
        _SOON,
    ),
    _asked(
        "card",
        lambda desk, o, c, context: desk.card(organisation=o, contact=c, context=context),
        st.none() | _ACCOUNT,
        st.none() | _PERSON,
        _CONTEXTS,
    ),
    _asked("notes_for", lambda desk, context: desk.notes_for(organisations=ACCOUNTS, context=context), _CONTEXTS),
    _asked("caller", lambda desk, number: desk.caller(number), _NUMBERS),
    _asked("mine", lambda desk: desk.mine()),
    _asked("readable_ids", lambda desk: desk.readable_ids([*ACCOUNTS, "nowhere"])),
    _asked("pages around a revocation", _around, _KIND, _ids("Grant")),
    _asked("vips", lambda desk: desk.people.vips()),
    _asked("who_may_read", lambda desk, one: desk.people.who_may_read(one), _ACCOUNT),
    _asked("responsible", lambda desk, o: desk.people.responsible(organisation=o), _ACCOUNT),
    _asked("org_chart", lambda desk, o: desk.people.org_chart(o), _ACCOUNT),
    _asked("special_contacts", lambda desk, o: desk.people.special_contacts(o), _ACCOUNT),
    _asked("orphaned", lambda desk: desk.people.orphaned()),
    _asked("follow_ups", lambda desk: desk.activities.follow_ups()),
    _asked("activities of", lambda desk, o: list(desk.activities.history(o)), _ACCOUNT),
)


# ---- writing -----------------------------------------------------------------------------------------------------


@st.composite
def _links(draw: st.DrawFn, kind: Kind) -> dict[str, Any]:
    """Draw references that mostly lead somewhere."""
    found: dict[str, Any] = {}
    for link in kind.links:
        ids = _ids(link.kind)
        found[link.field] = draw(st.lists(ids, max_size=2, unique=True).map(tuple) if link.many else st.none() | ids)
    return found


@st.composite
def _puts(draw: st.DrawFn) -> Drawn:
    """Draw one or two new records, or some that are there already."""
    records = []
    for _ in range(draw(st.integers(1, 2))):
        kind = draw(_KIND)
        record = draw(entities(kind.cls, id=st.sampled_from((*_NEW, *_NEW, *_KNOWN[kind.name][:2]))))
        for field, value in draw(_links(kind)).items():
            try:
                record = evolved(record, {field: value})
            except ValueError:
                continue
        records.append(evolved(record, {"version": 0}))
    return f"put {records!r}", lambda desk: desk.put(*records)


@st.composite
def _patches(draw: st.DrawFn) -> Drawn:
    """Draw a change of one or two fields, made once, or twice from the same version."""
    kind = draw(_KIND)
    id = draw(_ids(kind.name))
    links = draw(_links(kind))
    fields = draw(st.lists(st.sampled_from(stored_fields(kind)), min_size=1, max_size=2, unique=True))
    given = {field: links[field] if field in links else draw(values(kind.shapes[field])) for field in fields}
    stale = draw(st.integers(0, 4)) == 0

    def call(desk: Desk) -> Any:
        record = desk.get(kind.cls, id)
        changed = evolved(record, given)
        stored = desk.put(changed)
        return desk.put(evolved(record, {"extra": {"stale": True}})) if stale else stored

    return f"patch {kind.name} {id!r} {given!r}{' twice' * stale}", call


_PRINCIPAL = st.one_of(st.just(EVERYONE), st.sampled_from(PEOPLE).map(user), st.sampled_from(UNITS).map(unit))
_ROLE = st.sampled_from((KEY_ACCOUNT_MANAGER, DEPUTY, TEAM_MEMBER, "unknown"))
_WRITING: Sequence[st.SearchStrategy[Drawn]] = (
    _puts(),
    _patches(),
    _puts(),
    _patches(),
    st.sampled_from(sorted(_KNOWN)).flatmap(
        lambda name: _asked(f"remove {name}", lambda desk, one: desk.remove(KINDS[name].cls, one), _ids(name))
    ),
    _asked("revoke", lambda desk, one: desk.people.revoke(one), _ids("Grant")),
    _asked("end_assignment", lambda desk, one, on: desk.people.end_assignment(one, on=on), _ids("Assignment"), _SOON),
    _asked(
        "assign",
        lambda desk, who, o, role, covers: desk.people.assign(
            who, organisation=o, role=role, covers_subsidiaries=covers
        ),
        _WHO,
        _ACCOUNT,
        _ROLE,
        st.booleans(),
    ),
    _asked(
        "grant",
        lambda desk, o, principal, right: desk.people.grant(o, principal=principal, right=right),
        _ACCOUNT,
        _PRINCIPAL,
        st.sampled_from(Right),
    ),
    _asked("make_private", lambda desk, o: desk.people.make_private(o), _ACCOUNT),
    _asked("open_up", lambda desk, o: desk.people.open_up(o), _ACCOUNT),
    _asked("break_glass", lambda desk, o: desk.people.break_glass(o, reason="urgent"), _ACCOUNT),
    _asked("deputise", lambda desk, who, absent: desk.people.deputise(who, for_user=absent), _WHO, _WHO),
    _asked("hand_over", lambda desk, one, other: desk.people.hand_over(one, other), _WHO, _WHO),
    _asked("log", lambda desk, o: desk.activities.log(o, kind="call", subject="x", follow_up_on=TODAY), _ACCOUNT),
    _asked("done", lambda desk, one: desk.activities.done(one), _ids("Activity")),
    _asked("acknowledge", lambda desk, one: desk.service_notes.acknowledge(one), _ids("ServiceNote")),
    _asked("dismiss", lambda desk, one: desk.service_notes.dismiss(one), _ids("ServiceNote")),
    _asked("merge", lambda desk, one, other: desk.merging.merge(Organisation, one, other), _ACCOUNT, _ACCOUNT),
    _asked("merge", lambda desk, one, other: desk.merging.merge(Contact, one, other), _PERSON, _PERSON),
    _asked("deactivate", lambda desk, one: desk.put(attrs.evolve(desk.get(User, one), active=False)), _WHO),
)
