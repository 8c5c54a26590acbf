"""What happened: histories, acts, keys that apply once, merges and their undoing; the same in memory and in a file."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest

import keyaccount as ka
from keyaccount.catalogue import KINDS
from keyaccount.storage import Act
from keyaccount.values import FrozenMap

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
KAM = ka.KEY_ACCOUNT_MANAGER


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        """Begin on a Monday."""
        self.now = START

    def __call__(self) -> datetime:
        """Tell the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Make a clock."""
    return Clock()


@pytest.fixture(params=["memory", "file"])
def book(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[ka.Book]:
    """Open a book in either storage, with three colleagues, of whom only some manage accounts."""
    path = tmp_path / "book.db" if request.param == "file" else None
    with ka.open(path, clock=clock, region="DE", policy=ka.AccessPolicy(stewards=frozenset({"stella"}))) as book:
        book.trusted("setup").put(*(ka.User(id, name=id.title()) for id in ("volker", "hanna", "stella", "renate")))
        yield book
        if path is not None:
            assert [f for f in book.check() if f.kind in ("Act", "file") or "changed" in f.what] == []


@pytest.fixture
def office(book: ka.Book) -> ka.Desk:
    """Return the office's desk."""
    return book.trusted("office")


def acts(book: ka.Book) -> list[Act]:
    """Return all acts."""
    with book._storage.unit(write=False) as unit:
        return list(unit.acts())


def everything(book: ka.Book) -> dict[tuple[str, str], Any]:
    """Return every record without its version, by kind and id."""
    desk = book.trusted("judge")
    return {
        (name, row.key): attrs.evolve(row, version=0) for name, kind in KINDS.items() for row in desk.find(kind.cls)
    }


def renamed(desk: ka.Desk, name: str, id: str = "acme") -> ka.Organisation:
    """Change a name."""
    return desk.put(attrs.evolve(desk.get(ka.Organisation, id), name=name))


def half(desk: ka.Desk, key: str | None = None) -> None:
    """Write, and fail in the midst of it."""
    with desk.transaction(key=key):
        desk.put(ka.Organisation("acme", name="ACME"))
        desk.get(ka.Organisation, "none")


# ---- history -----------------------------------------------------------------------------------------------------


def test_a_history_tells_who_when_why_before_and_after(book: ka.Book, office: ka.Desk, clock: Clock) -> None:
    """Each change of a record stands in its history once, oldest first, with who, when, why, before and after."""
    with office.transaction(why="first contact"):
        office.put(ka.Organisation("acme", name="ACME"))
    clock.now += timedelta(hours=1)
    renamed(book.desk("stella"), "ACME AG")
    rows = list(office.history(ka.Organisation, "acme"))
    assert [(r.by, r.at, r.why) for r in rows] == [
        ("office", START, "first contact"),
        ("stella", START + timedelta(hours=1), None),
    ]
    assert [(r.before and r.before.version, r.after and r.after.version) for r in rows] == [(None, 1), (1, 2)]
    assert [r.after.name for r in rows if isinstance(r.after, ka.Organisation)] == ["ACME", "ACME AG"]


def test_changes_of_one_transaction_are_one_happening(book: ka.Book, office: ka.Desk) -> None:
    """A record that one transaction changes several times has changed once, from its first to its last state."""
    office.put(ka.Organisation("acme", name="0"))
    with office.transaction():
        for n in range(1, 4):
            renamed(office, str(n))
    names = [
        (getattr(r.before, "name", None), getattr(r.after, "name", None))
        for r in office.history(ka.Organisation, "acme")
    ]
    assert names == [(None, "0"), ("0", "3")]


def test_a_history_inside_a_transaction_tells_what_it_did(office: ka.Desk) -> None:
    """Inside an open transaction a history ends with what that has done so far."""
    office.put(ka.Organisation("acme", name="0"))
    with office.transaction(why="now"):
        renamed(office, "1")
        assert [r.why for r in office.history(ka.Organisation, "acme")] == [None, "now"]


def test_a_removed_record_has_a_history_for_trusted_desks(book: ka.Book, office: ka.Desk) -> None:
    """The office sees what a removed record was, and a record made anew under its id; others get NotFound."""
    office.put(ka.Organisation("acme", name="ACME"))
    office.remove(ka.Organisation, "acme")
    rows = list(office.history(ka.Organisation, "acme"))
    assert [(r.before is None, r.after is None) for r in rows] == [(True, False), (False, True)]
    with pytest.raises(ka.NotFound):
        book.desk("volker").history(ka.Organisation, "acme")
    office.put(ka.Organisation("acme", name="Another"))
    rows = list(office.history(ka.Organisation, "acme"))
    assert [getattr(r.after, "name", None) for r in rows] == ["ACME", None, "Another"]


def test_a_record_removed_and_made_anew_in_one_transaction_was_never_gone(office: ka.Desk) -> None:
    """To a history, a record that one transaction removes and makes anew has changed."""
    office.put(ka.Organisation("acme", name="ACME"))
    with office.transaction():
        office.remove(ka.Organisation, "acme")
        office.put(ka.Organisation("acme", name="Another"))
    rows = list(office.history(ka.Organisation, "acme"))
    assert [getattr(r.after, "name", None) for r in rows] == ["ACME", "Another"]


def test_what_was_made_and_removed_in_one_transaction_never_was(office: ka.Desk) -> None:
    """A record that one transaction makes and removes has no history."""
    with office.transaction():
        office.put(ka.Organisation("acme", name="ACME"))
        office.remove(ka.Organisation, "acme")
    with pytest.raises(ka.NotFound):
        office.history(ka.Organisation, "acme")


def test_a_bound_desk_sees_a_history_with_todays_rights(book: ka.Book, office: ka.Desk) -> None:
    """A history is NotFound where its record cannot be read, and leaves out when it hung on what cannot be read."""
    office.put(ka.Organisation("open", name="Open"), ka.Organisation("shut", name="Shut"))
    office.put(ka.Assignment("a", "hanna", "shut"), ka.ServiceNote("n", organisation_id="shut", text="before"))
    office.put(attrs.evolve(office.get(ka.ServiceNote, "n"), organisation_id="open", text="after"))
    volker = book.desk("volker")
    assert len(volker.history(ka.ServiceNote, "n")) == 2
    office.put(attrs.evolve(office.get(ka.Organisation, "shut"), private=True))
    assert [(r.before, getattr(r.after, "text", None)) for r in volker.history(ka.ServiceNote, "n")] == [
        (None, "after")
    ]
    with pytest.raises(ka.NotFound):
        volker.history(ka.Organisation, "shut")
    assert len(book.desk("hanna").history(ka.ServiceNote, "n")) == 2


def test_a_history_leaves_out_when_a_note_was_about_something_unreadable(book: ka.Book, office: ka.Desk) -> None:
    """What a note said while it was about a record of a private account stays with those who read that account."""
    office.put(
        ka.Organisation("open", name="Open"),
        ka.Organisation("shut", name="Shut", private=True),
        ka.Assignment("a", "hanna", "shut"),
    )
    office.put(ka.Activity("act", organisation_id="shut", kind="call"))
    about = ka.Reference("Activity", "act")
    office.put(ka.ServiceNote("n", organisation_id="open", text="before", about=about))
    office.put(attrs.evolve(office.get(ka.ServiceNote, "n"), about=None, text="after"))
    told = {user: [r.after for r in book.desk(user).history(ka.ServiceNote, "n")] for user in ("volker", "hanna")}
    assert [getattr(row, "text", None) for row in told["volker"]] == ["after"]
    assert [getattr(row, "text", None) for row in told["hanna"]] == ["before", "after"]


def test_a_history_tells_a_removal_only_of_what_was_in_sight(book: ka.Book, office: ka.Desk) -> None:
    """Who removed a note from a private account is left out with it; who removed it from an open one is told."""
    office.put(
        ka.Organisation("open", name="Open"),
        ka.Organisation("shut", name="Shut", private=True),
        ka.Assignment("a", "hanna", "shut"),
    )
    for home, text in (("shut", "first"), ("open", "second"), ("open", "third")):
        office.put(ka.ServiceNote("n", organisation_id=home, text=text))
        if text != "third":
            office.remove(ka.ServiceNote, "n")
    rows = book.desk("volker").history(ka.ServiceNote, "n")
    assert [getattr(r.after, "text", None) for r in rows] == ["second", None, "third"]
    assert [getattr(r.before, "text", None) for r in rows] == [None, "second", None]
    assert len(book.desk("hanna").history(ka.ServiceNote, "n")) == 5


@pytest.mark.parametrize("id", ["", "nobody", None, 5, "\0", "x" * 300])
def test_a_history_of_nothing_is_not_found(book: ka.Book, office: ka.Desk, id: Any) -> None:
    """What never was has no history: the same error for both sorts of desk, or one for what is no id."""
    for desk in (office, book.desk("volker")):
        with pytest.raises((ka.NotFound, ka.ValidationError)):
            desk.history(ka.Organisation, id)


# ---- acts --------------------------------------------------------------------------------------------------------

WRITES: dict[str, Callable[[ka.Desk], object]] = {
    "put": lambda desk: desk.put(ka.Organisation("new", name="New")),
    "put of several": lambda desk: desk.put(ka.Organisation("new", name="New"), ka.Organisation("newer", name="N")),
    "put_many": lambda desk: desk.put_many(ka.Organisation(f"n{n}", name="x") for n in range(2_500)),
    "put_many of nothing": lambda desk: desk.put_many([]),
    "remove": lambda desk: desk.remove(ka.Organisation, "acme"),
    "merge": lambda desk: desk.merging.merge(ka.Organisation, "acme", "globex"),
    "put of the same": lambda desk: desk.put(desk.get(ka.Organisation, "acme")),
    "read": lambda desk: desk.get(ka.Organisation, "acme"),
}


@pytest.mark.parametrize("what", sorted(WRITES))
def test_each_transaction_is_exactly_one_act(book: ka.Book, office: ka.Desk, clock: Clock, what: str) -> None:
    """A call that changes something is one act, numbered in sequence whatever the clock says; another is none."""
    office.put(ka.Organisation("acme", name="ACME"), ka.Organisation("globex", name="Globex"))
    before = acts(book)
    clock.now -= timedelta(days=400)
    WRITES[what](office)
    new = acts(book)[len(before) :]
    assert len(new) == (what not in {"put_many of nothing", "put of the same", "read"})
    assert [act.seq for act in acts(book)] == list(range(1, len(before) + len(new) + 1))
    assert all((act.by, act.at) == ("office", clock.now) for act in new)


def test_a_transaction_of_many_calls_is_one_act(book: ka.Book, office: ka.Desk) -> None:
    """All calls of a transaction, and of those nested in it, are one act that names every record they changed."""
    before = len(acts(book))
    with office.transaction(why="all of it"):
        office.put(ka.Organisation("acme", name="ACME"))
        with office.transaction(why="inner"):
            office.put(ka.ServiceNote("n", organisation_id="acme", text="x"))
        renamed(office, "ACME AG")
    (act,) = acts(book)[before:]
    assert act.why == "all of it"
    assert set(act.changed) == {("Organisation", "acme"), ("ServiceNote", "n")}


def test_a_refused_transaction_is_no_act(book: ka.Book, office: ka.Desk) -> None:
    """What is refused or rolled back leaves no act, and its number is given to the next."""
    before = len(acts(book))
    with pytest.raises(ka.NotFound):
        half(office)
    with pytest.raises(ka.ValidationError):
        office.put(ka.Organisation("acme", name="ACME", parent_id="none"))
    assert len(acts(book)) == before
    office.put(ka.Organisation("acme", name="ACME"))
    assert acts(book)[-1].seq == before + 1


# ---- keys --------------------------------------------------------------------------------------------------------


def ordered(desk: ka.Desk, *, key: str = "order 17", text: str = "ordered") -> ka.ServiceNote:
    """Write a note under a key, with an id of the library's own making."""
    with desk.transaction(key=key):
        return desk.put(ka.ServiceNote(organisation_id="acme", text=text))


def test_a_key_applies_once(book: ka.Book, office: ka.Desk) -> None:
    """The same writes under the same key are carried out once, also where the library made the ids."""
    office.put(ka.Organisation("acme", name="ACME"))
    ordered(office)
    before = acts(book)
    ordered(office)
    assert [note.text for note in office.find(ka.ServiceNote)] == ["ordered"]
    assert acts(book) == before
    ordered(office, key="order 18")
    assert office.count(ka.ServiceNote) == 2


@pytest.mark.parametrize(
    "other",
    [
        lambda desk: desk.put(ka.Organisation("new", name="Other")),
        lambda desk: desk.put(ka.Organisation("newer", name="New")),
        lambda desk: desk.put(ka.Contact("new", name="New")),
        lambda desk: desk.remove(ka.Organisation, "acme"),
        lambda desk: [desk.put(ka.Organisation(id, name="New")) for id in ("new", "more")],
        lambda _: None,
    ],
)
def test_a_key_with_other_content_is_an_error(
    book: ka.Book, office: ka.Desk, other: Callable[[ka.Desk], object]
) -> None:
    """Other writes under a key that was used raise ValidationError, and nothing of them is kept."""
    office.put(ka.Organisation("acme", name="ACME"))

    def under_key(work: Callable[[ka.Desk], object]) -> None:
        with office.transaction(key="k"):
            work(office)

    under_key(lambda desk: desk.put(ka.Organisation("new", name="New")))
    before, done = everything(book), acts(book)
    with pytest.raises(ka.ValidationError):
        under_key(other)
    assert (everything(book), acts(book)) == (before, done)
    under_key(lambda desk: desk.put(ka.Organisation("new", name="New")))


def test_a_replay_returns_what_is_stored(book: ka.Book, office: ka.Desk) -> None:
    """A repeated call under a key returns the records as they are now, also when others changed them since."""
    with office.transaction(key="k"):
        first = office.put(ka.Organisation("acme", name="ACME"))
    with office.transaction(key="k"):
        assert office.put(ka.Organisation("acme", name="ACME")) == first
    changed = renamed(book.trusted("others"), "ACME AG")
    with office.transaction(key="k"):
        assert office.put(ka.Organisation("acme", name="ACME")) == changed
    office.remove(ka.Organisation, "acme")
    with office.transaction(key="k"):
        office.put(ka.Organisation("acme", name="ACME"))
    assert office.count(ka.Organisation) == 0, "a replay must not make it anew"


def test_a_replay_of_a_removal_changes_nothing(book: ka.Book, office: ka.Desk) -> None:
    """A repeated removal under a key does not fail because the record is gone, and removes no later one."""
    office.put(ka.Organisation("acme", name="ACME"))
    for _ in range(2):
        with office.transaction(key="k"):
            office.remove(ka.Organisation, "acme")
    office.put(ka.Organisation("acme", name="Another"))
    with office.transaction(key="k"):
        office.remove(ka.Organisation, "acme")
    assert office.get(ka.Organisation, "acme").name == "Another"


def test_a_replayed_patch_is_not_a_conflict(book: ka.Book, office: ka.Desk) -> None:
    """A change repeated under its key is recognised though the version it was made from has passed."""
    got = office.put(ka.Organisation("acme", name="ACME"))
    for _ in range(2):
        with office.transaction(key="k"):
            office.put(attrs.evolve(got, name="ACME AG"))
    assert office.get(ka.Organisation, "acme").version == 2


def test_a_replayed_bulk_load_is_recognised(book: ka.Book, office: ka.Desk) -> None:
    """A bulk load repeated under its key writes nothing, with ids of the library's making and references ahead too."""

    def load() -> None:
        with office.transaction(key="load"):
            parents = [ka.Organisation(name="parent") for _ in range(1_200)]
            office.put_many([*(ka.Organisation(name="child", parent_id=p.id) for p in parents), *parents])

    load()
    load()
    assert office.count(ka.Organisation) == 2_400


def test_a_replay_knows_what_was_made_before(book: ka.Book, office: ka.Desk) -> None:
    """Records whose ids the library made come back under their first ids, also where one refers to another."""
    office.put(ka.User("carla", name="Carla"), ka.Organisation("acme", name="ACME"))

    def work() -> tuple[object, ...]:
        with office.transaction(key="k"):
            people: Any = office.put(ka.Contact(name="Ingo"), ka.Contact(name="Ingo"), ka.Contact(name="Anna"))
            boss = ka.Position(contact_id=people[2].id, organisation_id="acme", title="Boss")
            clerk = ka.Position(contact_id=people[0].id, organisation_id="acme", reports_to_id=boss.id)
            notes = [office.put(ka.ServiceNote(organisation_id="acme", text=text)) for text in "ab"]
            call = office.activities.log("acme", kind="call", contacts=[people[2].id])
            assigned = office.people.assign("carla", organisation="acme")
            return (*people, *office.put(clerk, boss), *notes, call, assigned)

    first = work()
    counts = [office.count(kind) for kind in (ka.Contact, ka.Position, ka.ServiceNote, ka.Activity, ka.Assignment)]
    assert counts == [3, 2, 2, 1, 1]
    assert work() == first
    note: Any = first[5]
    changed = book.trusted("others").put(attrs.evolve(note, text="changed since"))
    assert work() == (*first[:5], changed, *first[6:])
    assert [office.count(k) for k in (ka.Contact, ka.Position, ka.ServiceNote, ka.Activity, ka.Assignment)] == counts


def test_a_replay_finds_nothing_that_was_shielded(book: ka.Book, office: ka.Desk) -> None:
    """Who repeats what was made on an account that is private by now is told of no record there."""
    office.put(ka.User("max", name="Max"), ka.User("carla", name="Carla"), ka.Organisation("acme", name="ACME"))
    office.people.assign("max", organisation="acme")
    office.people.grant("acme", principal=ka.EVERYONE, right=ka.Right.CHANGE)

    def work() -> ka.ServiceNote:
        with book.desk("carla").transaction(key="k"):
            return book.desk("carla").put(ka.ServiceNote(organisation_id="acme", text="a"))

    first = work()
    assert work() == first
    office.people.make_private("acme")
    again = work()
    assert (again.version, again.id == first.id) == (0, False)


CALLS: list[Callable[[ka.Desk], object]] = [
    lambda desk: desk.people.end_assignment("as"),
    lambda desk: desk.people.end_assignment("as", on=date(2031, 1, 1)),
    lambda desk: desk.people.revoke("g"),
    lambda desk: desk.people.make_private("acme"),
    lambda desk: desk.people.open_up("acme"),
    lambda desk: desk.people.hand_over("max", "carla"),
    lambda desk: desk.people.hand_over("max", "carla", on=date(2031, 1, 1)),
    lambda desk: desk.service_notes.acknowledge("n"),
    lambda desk: desk.service_notes.dismiss("n"),
    lambda desk: desk.activities.done("ac"),
]


@pytest.mark.parametrize("call", CALLS)
def test_calls_repeated_under_a_key(book: ka.Book, office: ka.Desk, call: Callable[[ka.Desk], object]) -> None:
    """Any call repeated under its key, when what it did changed what it would do, applies once and answers alike."""
    office.put(ka.User("max", name="Max"), ka.User("carla", name="Carla"), ka.Organisation("acme", name="ACME"))
    office.put(
        ka.Assignment("as", "max", "acme"),
        ka.Assignment("other", "max", "acme"),
        ka.Grant("g", organisation_id="acme", principal=ka.EVERYONE, right=ka.Right.READ),
        ka.ServiceNote("n", organisation_id="acme", text="x", dismissible=True),
        ka.Activity("ac", organisation_id="acme", follow_up_on=date(2026, 1, 1)),
    )
    desk, answers = book.desk("max"), []
    for _ in range(2):
        with desk.transaction(key="k"):
            answers.append(call(desk))
        state = everything(book), acts(book)
    assert answers[0] == answers[1]
    assert state[1] == acts(book)
    with pytest.raises(ka.ValidationError, match="was used before"), desk.transaction(key="k"):
        desk.put(ka.Organisation("new", name="New"))


def test_a_key_cannot_join_an_open_transaction(book: ka.Book, office: ka.Desk) -> None:
    """A key inside an open transaction is refused: it could not apply by itself."""
    with office.transaction():
        office.put(ka.Organisation("acme", name="ACME"))
        with pytest.raises(ka.ValidationError), office.transaction(key="k"):
            office.put(ka.Organisation("new", name="New"))
    assert [row.id for row in office.find(ka.Organisation)] == ["acme"]


def test_a_key_of_a_failed_transaction_is_free(book: ka.Book, office: ka.Desk) -> None:
    """A transaction that failed has not used its key."""
    with pytest.raises(ka.NotFound):
        half(office, key="k")
    with office.transaction(key="k"):
        office.put(ka.Organisation("other", name="Other"))
    assert [row.id for row in office.find(ka.Organisation)] == ["other"]


@pytest.mark.parametrize("key", ["", 5, b"k", "x" * 1_000, "\ud800", "a\0b", "a\nb"])
def test_what_is_no_key_is_refused(office: ka.Desk, key: Any) -> None:
    """A key is a short line of text."""
    with pytest.raises(ka.ValidationError), office.transaction(key=key):
        office.put(ka.Organisation("acme", name="ACME"))
    assert office.count(ka.Organisation) == 0


def test_a_key_outlives_the_book(tmp_path: Path) -> None:
    """A key that was used counts as used when the file is opened again."""
    for _ in range(2):
        with ka.open(tmp_path / "book.db") as book, (desk := book.trusted("office")).transaction(key="k"):
            desk.put(ka.Organisation(name="ACME"))
    with ka.open(tmp_path / "book.db") as book:
        assert book.trusted("office").count(ka.Organisation) == 1


# ---- merging -----------------------------------------------------------------------------------------------------


DOORS: dict[str, Callable[[ka.Desk, str, str], Any]] = {
    "get": lambda desk, at, _: desk.get(ka.Organisation, at),
    "get contact": lambda desk, _, who: desk.get(ka.Contact, who),
    "notes": lambda desk, at, _: desk.notes(organisation=at, context="crm"),
    "notes of both": lambda desk, at, who: desk.notes(organisation=at, contact=who, context="crm"),
    "notes_for": lambda desk, at, _: desk.notes_for(organisations=[at], context="crm")[at],
    "card": lambda desk, at, _: desk.card(organisation=at, context="crm"),
    "card of contact": lambda desk, _, who: desk.card(contact=who, context="crm"),
    "panel": lambda desk, at, _: desk.panel(at),
    "may": lambda desk, at, _: desk.may(at, ka.Right.CHANGE),
    "responsible": lambda desk, at, _: desk.people.responsible(organisation=at),
    "responsible for contact": lambda desk, _, who: desk.people.responsible(contact=who),
    "special contact": lambda desk, at, _: desk.people.special_contact(at, "invoices"),
    "special contacts": lambda desk, at, _: desk.people.special_contacts(at),
    "org chart": lambda desk, at, _: desk.people.org_chart(at),
    "last contact": lambda desk, at, _: desk.activities.last_contact(at),
    "activities": lambda desk, at, _: list(desk.activities.history(at)),
    "cover": lambda desk, at, _: desk.contracts.cover(at),
}


@pytest.mark.parametrize("door", DOORS)
def test_every_door_knows_a_merged_id(book: ka.Book, office: ka.Desk, door: str) -> None:
    """The old id of a merged organisation or contact answers as the new one does, to others as none."""
    office.put(ka.Organisation("w", name="W"), ka.Organisation("l", name="L"), ka.Contact("k", name="K"))
    office.put(ka.Contact("j", name="J"), ka.Position(contact_id="j", organisation_id="l", role="invoices"))
    office.put(ka.ServiceNote("n", "l", text="x", severity=ka.Severity.STOP), ka.Assignment("a", "volker", "w"))
    office.put(
        ka.Activity(organisation_id="l", contact_ids=("j",), kind="meeting", at=datetime(2026, 1, 1, tzinfo=UTC))
    )
    office.put(ka.Contract("c", "l", signed_on=date(2026, 1, 1), starts_on=date(2026, 1, 1), kind="hosting"))
    office.merging.merge(ka.Organisation, "w", "l")
    office.merging.merge(ka.Contact, "k", "j")
    volker, hanna, ask = book.desk("volker"), book.desk("hanna"), DOORS[door]
    told = ask(volker, "w", "k")
    assert told
    assert ask(volker, "l", "j") == told
    office.people.make_private("w")
    with pytest.raises((ka.NotFound, KeyError)) as hidden:
        ask(hanna, "l", "j")
    with pytest.raises((ka.NotFound, KeyError)) as missing:
        ask(hanna, "x", "y")
    said = str(missing.value).replace("'x'", "'l'").replace("'y'", "'j'")
    assert (type(hidden.value), str(hidden.value)) == (type(missing.value), said)


@pytest.mark.parametrize(("winner", "loser"), [("a", "b"), ("b", "a")])
def test_a_merged_person_keeps_every_refusal(office: ka.Desk, winner: str, loser: str) -> None:
    """Who refused letters or calls on either record is sent none, and a VIP on either stays one; undo parts them."""
    a = ka.Contact("a", name="A", accepts_letters=False, vip=True)
    b = ka.Contact("b", name="B", accepts_calls=False)
    office.put(a, b)
    done = office.merging.merge(ka.Contact, winner, loser)
    kept = office.get(ka.Contact, winner)
    assert (kept.accepts_letters, kept.accepts_email, kept.accepts_calls, kept.vip) == (False, True, False, True)
    office.merging.undo(done.act)
    assert [attrs.evolve(office.get(ka.Contact, id), version=0) for id in "ab"] == [a, b]


def two(desk: ka.Desk) -> None:
    """Make two accounts that are one, with something of everything on the one to be merged away."""
    desk.put(ka.Organisation("top", name="Top"), ka.Unit("u", name="U"))
    desk.put(
        ka.Organisation("w", name="Stays", phones=("+49 89 1",), refs=FrozenMap({"erp": "1"})),
        ka.Organisation("l", name="Goes", phones=("+49 89 2",), emails=("info@l.example",), parent_id="top"),
        ka.Organisation("child", name="Child", parent_id="l"),
        ka.Contact("c", name="Ingo"),
    )
    desk.put(
        ka.Position("p", "c", "l", role="invoices"),
        ka.ServiceNote("n", organisation_id="l", text="Remark"),
        ka.Assignment("a", "volker", "l"),
        ka.Grant("g", "l", ka.user("hanna"), ka.Right.CHANGE),
        ka.Activity("act", organisation_id="l", contact_ids=("c",), kind="call"),
    )


HANGING: tuple[tuple[type[Any], str, str], ...] = (
    (ka.Position, "p", "organisation_id"),
    (ka.ServiceNote, "n", "organisation_id"),
    (ka.Assignment, "a", "organisation_id"),
    (ka.Grant, "g", "organisation_id"),
    (ka.Activity, "act", "organisation_id"),
    (ka.Organisation, "child", "parent_id"),
)


def test_a_merge_moves_everything_once(book: ka.Book, office: ka.Desk) -> None:
    """All that hung on the one hangs on the other, which takes over numbers; nothing is copied; it is one act."""
    two(office)
    before = len(acts(book))
    done = office.merging.merge(ka.Organisation, "w", "l")
    assert [getattr(office.get(kind, id), field) for kind, id, field in HANGING] == ["w"] * len(HANGING)
    winner = office.get(ka.Organisation, "w")
    assert (winner.name, winner.phones, winner.emails) == ("Stays", ("+49 89 1", "+49 89 2"), ("info@l.example",))
    assert (done.winner, done.loser_id, done.moved) == (winner, "l", len(HANGING))
    assert {row.id for row in office.find(ka.Organisation)} == {"top", "w", "child"}
    assert len(acts(book)) == before + 1
    assert acts(book)[-1].key == done.act


def test_the_old_id_stays_readable(book: ka.Book, office: ka.Desk) -> None:
    """The id that went is read as the record that stayed, also after a further merge, and never twice."""
    two(office)
    office.merging.merge(ka.Organisation, "w", "l")
    assert office.get(ka.Organisation, "l").id == "w"
    office.merging.merge(ka.Organisation, "top", "w")
    assert [office.get(ka.Organisation, id).id for id in ("l", "w", "top")] == ["top"] * 3
    assert [row.id for row in office.find(ka.Organisation, order="id")] == ["child", "top"]


def test_a_merge_again_changes_nothing(book: ka.Book, office: ka.Desk) -> None:
    """Running a merge again returns the same winner, moves nothing and writes nothing."""
    two(office)
    first = office.merging.merge(ka.Organisation, "w", "l")
    before, done = everything(book), acts(book)
    again = office.merging.merge(ka.Organisation, "w", "l")
    assert (again.winner, again.moved) == (first.winner, 0)
    assert (everything(book), acts(book)) == (before, done)


def test_undo_restores_every_record(book: ka.Book, office: ka.Desk) -> None:
    """Undoing a merge leaves every record as it was before, takes the alias away, and can be followed by a merge."""
    two(office)
    before = everything(book)
    for _ in range(2):
        done = office.merging.merge(ka.Organisation, "w", "l")
        assert [row.key for row in office.merging.undo(done.act)] == ["l"]
        assert everything(book) == before
    with pytest.raises(ka.ValidationError):
        office.merging.undo(done.act)
    assert everything(book) == before


def test_undo_is_refused_with_a_list_where_records_changed(book: ka.Book, office: ka.Desk) -> None:
    """Where records changed since, undoing names each of them and changes nothing."""
    two(office)
    done = office.merging.merge(ka.Organisation, "w", "l")
    renamed(office, "Renamed", "w")
    office.remove(ka.ServiceNote, "n")
    before = everything(book)
    with pytest.raises(ka.ValidationError) as caught:
        office.merging.undo(done.act)
    assert sorted(problem.entity for problem in caught.value.problems) == ["Organisation 'w'", "ServiceNote 'n'"]
    assert everything(book) == before


def test_undo_is_refused_where_the_old_id_is_taken(book: ka.Book, office: ka.Desk) -> None:
    """Where a new record took the id that went, undoing is refused, and that record stays."""
    two(office)
    done = office.merging.merge(ka.Organisation, "w", "l")
    office.put(ka.Organisation("l", name="New"))
    with pytest.raises((ka.ValidationError, ka.ConflictError)):
        office.merging.undo(done.act)
    assert office.get(ka.Organisation, "l").name == "New"


@pytest.mark.parametrize("refs", [{"crm": "7"}, {"erp": "2"}, {"erp": "2", "crm": "7"}])
def test_a_merge_takes_over_external_references(book: ka.Book, office: ka.Desk, refs: dict[str, str]) -> None:
    """The one that stays has its own references, and those of the other in systems where it has none."""
    office.put(ka.Organisation("w", name="W", refs=FrozenMap({"erp": "1"})))
    office.put(ka.Organisation("l", name="L", refs=FrozenMap(refs)))
    before = everything(book)
    done = office.merging.merge(ka.Organisation, "w", "l")
    assert office.get(ka.Organisation, "w").refs == FrozenMap({**refs, "erp": "1"})
    if "crm" in refs:
        assert office.get(ka.Organisation, ref=("crm", "7")).id == "w"
    office.merging.undo(done.act)
    assert everything(book) == before


def test_contacts_are_merged_and_undone(book: ka.Book, office: ka.Desk) -> None:
    """Positions, notes, managers and activities of one person move to the other, each once, and back."""
    office.put(ka.Organisation("acme", name="ACME"), ka.Contact("w", name="Ingo"), ka.Contact("l", name="I. Huber"))
    office.put(ka.Position("p1", "w", "acme"), ka.Position("p2", "l", "acme", reports_to_id="p1"))
    office.put(
        ka.ServiceNote("n", contact_id="l", text="x"),
        ka.Assignment("a", "volker", contact_id="l"),
        ka.Activity("both", organisation_id="acme", contact_ids=("l", "w")),
        ka.Activity("one", contact_ids=("l",)),
    )
    before = everything(book)
    done = office.merging.merge(ka.Contact, "w", "l")
    assert office.get(ka.Contact, "l").id == "w"
    assert office.get(ka.Activity, "both").contact_ids == office.get(ka.Activity, "one").contact_ids == ("w",)
    assert office.get(ka.Position, "p2").contact_id == office.get(ka.ServiceNote, "n").contact_id == "w"
    assert office.merging.merge(ka.Contact, "w", "l").moved == 0
    office.merging.undo(done.act)
    assert everything(book) == before


def test_private_wins(book: ka.Book, office: ka.Desk) -> None:
    """Whichever of the two is private, the result is, and managers of the open one do not come into it."""
    for n, (winner, loser) in enumerate(itertools.permutations(("shut", "open"))):
        ids = {name: f"{name}{n}" for name in ("shut", "open")}
        office.put(
            ka.Organisation(ids["open"], name="Open"),
            ka.Assignment(f"h{n}", "hanna", ids["open"]),
            ka.ServiceNote(f"n{n}", organisation_id=ids["open"], text="x"),
        )
        office.put(
            ka.Organisation(ids["shut"], name="Shut", private=True), ka.Assignment(f"v{n}", "volker", ids["shut"])
        )
        before = everything(book)
        done = office.merging.merge(ka.Organisation, ids[winner], ids[loser])
        assert office.get(ka.Organisation, ids[winner]).private
        assert book.desk("volker").get(ka.ServiceNote, f"n{n}").organisation_id == ids[winner]
        for other in ("hanna", "stella", "renate"):
            for kind, id in ((ka.Organisation, ids[winner]), (ka.Organisation, ids[loser]), (ka.ServiceNote, f"n{n}")):
                with pytest.raises(ka.NotFound):
                    book.desk(other).get(kind, id)
        office.merging.undo(done.act)
        assert everything(book) == before


def test_two_private_accounts_of_different_managers_are_not_merged(book: ka.Book, office: ka.Desk) -> None:
    """Two private accounts with different managers are refused, until one has handed over."""
    for id, manager in (("w", "volker"), ("l", "hanna")):
        office.put(ka.Organisation(id, name=id, private=True), ka.Assignment(f"a{id}", manager, id))
    before = everything(book)
    with pytest.raises(ka.ValidationError):
        office.merging.merge(ka.Organisation, "w", "l")
    assert everything(book) == before
    with office.transaction():
        office.put(ka.Assignment("new", "volker", "l"))
        office.remove(ka.Assignment, "al")
    office.merging.merge(ka.Organisation, "w", "l")
    assert [row.id for row in book.desk("volker").find(ka.Organisation)] == ["w"]
    assert [row.id for row in book.desk("hanna").find(ka.Organisation)] == []


def test_a_role_for_one_is_not_given_to_two(book: ka.Book, office: ka.Desk) -> None:
    """A merge that would give a role for one to two at the same time is refused, and nothing is written."""
    two(office)
    office.put(ka.Contact("other", name="Other"), ka.Position("p2", "other", "w", role="invoices"))
    before, done = everything(book), acts(book)
    with pytest.raises(ka.ValidationError) as caught:
        office.merging.merge(ka.Organisation, "w", "l")
    assert [problem.field for problem in caught.value.problems] == ["role"]
    assert (everything(book), acts(book)) == (before, done)
    position = office.get(ka.Position, "p2")
    office.put(attrs.evolve(position, valid_until=date(2026, 1, 31)))
    office.put(attrs.evolve(office.get(ka.Position, "p"), valid_from=date(2026, 2, 1)))
    office.merging.merge(ka.Organisation, "w", "l")


def test_a_merge_up_and_down_the_tree(book: ka.Book, office: ka.Desk) -> None:
    """A child takes over from its parent, a parent from its child; a cycle through others is refused."""
    office.put(*(ka.Organisation(id, name=id, parent_id=up) for id, up in (("a", None), ("b", "a"), ("c", "b"))))
    before = everything(book)
    done = office.merging.merge(ka.Organisation, "b", "a")
    assert [(o.id, o.parent_id) for o in office.find(ka.Organisation, order="id")] == [("b", None), ("c", "b")]
    office.merging.undo(done.act)
    done = office.merging.merge(ka.Organisation, "a", "b")
    assert [(o.id, o.parent_id) for o in office.find(ka.Organisation, order="id")] == [("a", None), ("c", "a")]
    office.merging.undo(done.act)
    with pytest.raises(ka.ValidationError):
        office.merging.merge(ka.Organisation, "c", "a")
    assert everything(book) == before


def test_a_merge_tells_nothing_of_what_stands_hidden_between(book: ka.Book, office: ka.Desk) -> None:
    """Two accounts with a hidden one between them are merged as if there were none; a check finds the cycle."""
    office.put(*(ka.Organisation(id, name=id, parent_id=up) for id, up in (("a", None), ("b", "a"), ("c", "b"))))
    office.put(*(ka.Assignment(user_id="volker", organisation_id=id) for id in ("a", "c")))
    office.put(attrs.evolve(office.get(ka.Organisation, "b"), private=True), ka.Assignment("m", "hanna", "b"))
    done = book.desk("volker").merging.merge(ka.Organisation, "c", "a")
    assert (done.winner.key, done.moved) == ("c", 1)
    assert [one.id for one in book.check() if "under itself" in one.what] == ["b"]


@pytest.mark.parametrize(
    ("winner", "loser", "error"),
    [
        ("w", "w", ka.ValidationError),
        ("w", "none", ka.NotFound),
        ("none", "l", ka.NotFound),
        ("w", "c", ka.NotFound),
        ("w", "", ka.KeyAccountError),
        ("w", 5, ka.ValidationError),
    ],
)
def test_a_merge_of_what_cannot_be_merged_is_refused(
    book: ka.Book, office: ka.Desk, winner: Any, loser: Any, error: type[Exception]
) -> None:
    """A record with itself, with nothing, or with one of another kind is not merged, and nothing is written."""
    two(office)
    before = everything(book)
    with pytest.raises(error):
        office.merging.merge(ka.Organisation, winner, loser)
    with pytest.raises(ka.ValidationError):
        office.merging.merge(ka.Position, "p", "q")
    assert everything(book) == before


def test_a_merge_is_an_act_of_its_own(book: ka.Book, office: ka.Desk) -> None:
    """Inside an open transaction a merge is refused, and the transaction goes on."""
    two(office)
    with office.transaction():
        with pytest.raises(ka.KeyAccountError):
            office.merging.merge(ka.Organisation, "w", "l")
        renamed(office, "Renamed", "w")
    assert office.get(ka.Organisation, "w").name == "Renamed"


def test_a_merge_and_its_undoing_need_administer(book: ka.Book, office: ka.Desk) -> None:
    """Who does not administer both accounts merges nothing, and undoes nothing; nothing is written."""
    two(office)
    office.put(ka.Assignment("aw", "hanna", "w"))
    before = everything(book)
    for user in ("volker", "hanna", "renate"):  # volker manages the one, hanna the other
        with pytest.raises(ka.AccessDenied):
            book.desk(user).merging.merge(ka.Organisation, "w", "l")
    assert everything(book) == before
    done = book.desk("stella").merging.merge(ka.Organisation, "w", "l")
    merged = everything(book)
    with pytest.raises(ka.AccessDenied):
        book.desk("renate").merging.undo(done.act)
    assert everything(book) == merged
    book.desk("stella").merging.undo(done.act)
    assert everything(book) == before


def test_only_a_merge_is_undone(book: ka.Book, office: ka.Desk) -> None:
    """A host's own key is no merge, whatever it is called: nobody undoes such a transaction, least of all a reader."""
    office.put(ka.Organisation("acme", name="ACME"))
    with office.transaction(key="merge-42"):
        office.put(ka.Organisation("globex", name="Globex"))
    before = everything(book)
    for desk in (book.desk("renate"), office):
        for act in ("merge-42", "merge-", "", "none", 5, None):
            with pytest.raises((ka.NotFound, ka.ValidationError)):
                desk.merging.undo(act)  # type: ignore[arg-type]
    assert everything(book) == before


def test_a_merge_in_a_file_is_undone_after_it_was_opened_again(tmp_path: Path) -> None:
    """What a merge changed is known to the file: another process undoes it as well."""
    with ka.open(tmp_path / "book.db") as book:
        book.trusted("setup").put(ka.User("volker", name="V"), ka.User("hanna", name="H"))
        two(book.trusted("office"))
        before = everything(book)
        done = book.trusted("office").merging.merge(ka.Organisation, "w", "l")
    with ka.open(tmp_path / "book.db") as book:
        assert book.trusted("office").merging.merge(ka.Organisation, "w", "l").moved == 0
        book.trusted("office").merging.undo(done.act)
        assert everything(book) == before
        assert list(book.check()) == []
        history = book.trusted("office").history(ka.Organisation, "l")
        assert [(r.before is None, r.after is None) for r in history] == [(True, False), (False, True), (True, False)]
