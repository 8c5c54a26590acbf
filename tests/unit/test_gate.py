"""The write gate: what is refused leaves nothing, what is written is a patch, what is removed leaves no loose end."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest

import keyaccount as ka

DAY = date(2026, 11, 21)
DEPTH = 5_000
SECONDS = 20.0  # for 5,000 levels on a busy machine: the quadratic ways take minutes


@pytest.fixture
def office() -> ka.Desk:
    """Open a book with a manager, an account, a contact and what they are to each other."""
    desk = ka.open(clock=lambda: datetime(2026, 11, 21, 12, tzinfo=UTC)).trusted("test")
    desk.put(
        ka.Unit("sales", name="Sales"),
        ka.User("volker", name="Volker", unit_ids=("sales",)),
        ka.User("carla", name="Carla"),
        ka.Organisation("acme", name="ACME"),
        ka.Contact("ingo", name="Ingo"),
        ka.Position("job", contact_id="ingo", organisation_id="acme"),
        ka.Assignment("kam", user_id="volker", organisation_id="acme"),
    )
    return desk


def everything(desk: ka.Desk) -> dict[str, Any]:
    """Return all that is stored, for comparing before and after."""
    kinds: Iterable[Any] = (
        ka.Unit, ka.User, ka.Organisation, ka.Contact, ka.Position, ka.Assignment, ka.Grant, ka.ServiceNote,
        ka.Acknowledgement, ka.Activity, ka.NoteCategory, ka.Context, ka.ContactRole,
    )  # fmt: skip
    return {f"{kind.__name__} {row.id}": row for kind in kinds for row in desk.find(kind)}


def refused(desk: ka.Desk, *entities: Any) -> ka.ValidationError:
    """Put what must be refused; check that nothing at all was written."""
    before = everything(desk)
    with pytest.raises(ka.ValidationError) as caught:
        desk.put(*entities)
    assert everything(desk) == before
    return caught.value


# ---- creating --------------------------------------------------------------------------------------------


def test_creating_twice_changes_nothing(office: ka.Desk) -> None:
    """Version 0 creates; the same again returns what is stored and changes nothing, also what the library filled in."""
    note = ka.ServiceNote("n", organisation_id="acme", text="x")
    for entity in (ka.Organisation("globex", name="G"), note, ka.Activity("a", organisation_id="acme", kind="call")):
        stored = office.put(entity)
        before = everything(office)
        assert stored.version == 1
        assert office.put(entity) == stored
        assert everything(office) == before


def test_creating_with_other_content_is_a_conflict(office: ka.Desk) -> None:
    """Version 0 with other content than what is there is refused, and both stay as they were."""
    before = everything(office)
    with pytest.raises(ka.ConflictError) as caught:
        office.put(ka.Organisation("new", name="N"), ka.Organisation("acme", name="another"))
    assert (caught.value.expected, caught.value.found) == (0, 1)
    assert everything(office) == before


@pytest.mark.parametrize(("one", "other"), [(1, True), (0, False), ([1], [True]), ({"a": 1}, {"a": True})])
def test_values_of_another_type_are_other_content(office: ka.Desk, one: Any, other: Any) -> None:
    """A host's 1 that becomes True is a change like any other: it is written, and it is no equal content."""
    stored = office.put(ka.Organisation("globex", name="G", extra={"flag": one}))
    with pytest.raises(ka.ConflictError):
        office.put(ka.Organisation("globex", name="G", extra={"flag": other}))
    changed = office.put(attrs.evolve(stored, extra={"flag": other}))
    assert repr(changed.extra) == repr(ka.Organisation("x", name="x", extra={"flag": other}).extra)


def test_ids_are_made_where_none_is_given(office: ka.Desk) -> None:
    """Records without an id get one each; several in are several out, in their order."""
    one, two = office.put(ka.Organisation(name="1"), ka.Organisation(name="2"))
    assert isinstance(one, ka.Organisation)
    assert isinstance(two, ka.Organisation)
    assert (one.name, two.name) == ("1", "2")
    assert one.id != two.id
    assert office.put() == ()


def test_one_record_twice_in_one_call(office: ka.Desk) -> None:
    """The same record twice in a call is written once; two contents of one record are refused."""
    same = ka.Organisation("globex", name="G")
    assert office.put(same, same) == (office.get(ka.Organisation, "globex"),) * 2
    error = refused(office, ka.Organisation("x", name="1"), ka.Organisation("x", name="2"))
    assert "twice" in str(error)


# ---- patching --------------------------------------------------------------------------------------------


def test_a_put_is_a_patch_against_its_version(office: ka.Desk) -> None:
    """Changing a field of what was got changes that field, and adds one to the version; no change adds nothing."""
    acme = office.get(ka.Organisation, "acme")
    changed = office.put(attrs.evolve(acme, sector="steel"))
    assert (changed.version, changed.sector, changed.name) == (2, "steel", "ACME")
    assert office.put(changed) == changed
    assert office.get(ka.Organisation, "acme").version == 2


def test_a_record_that_is_not_there_cannot_be_patched(office: ka.Desk) -> None:
    """A record with a version that was never stored, or is removed, is not found."""
    with pytest.raises(ka.NotFound):
        office.put(ka.Organisation("ghost", name="G", version=3))


def test_what_a_desk_could_not_see_is_kept(office: ka.Desk) -> None:
    """A reference that was masked on a desk keeps its stored value when that desk writes the record back."""
    office.put(
        ka.Organisation("holding", name="H", private=True),
        ka.Assignment("kam-holding", user_id="carla", organisation_id="holding"),
    )
    office.put(attrs.evolve(office.get(ka.Organisation, "acme"), parent_id="holding"))
    volker = office._book.desk("volker")
    seen = volker.get(ka.Organisation, "acme")
    assert seen.parent_id is None
    volker.put(attrs.evolve(seen, name="ACME SE"))
    stored = office.get(ka.Organisation, "acme")
    assert (stored.name, stored.parent_id) == ("ACME SE", "holding")


def test_fixed_fields_never_change(office: ka.Desk) -> None:
    """A position is of one contact at one organisation for good."""
    office.put(ka.Contact("ina", name="Ina"), ka.Organisation("globex", name="G"))
    job = office.get(ka.Position, "job")
    error = refused(office, attrs.evolve(job, contact_id="ina", organisation_id="globex"))
    assert {problem.field for problem in error.problems} == {"contact_id", "organisation_id"}


# ---- refusing --------------------------------------------------------------------------------------------


def test_all_problems_at_once_and_nothing_written(office: ka.Desk) -> None:
    """One call with many faults lists them all, with kind, id and field, and writes none of its sound records."""
    office.put(ka.Organisation("globex", name="G"), ka.Position("boss", contact_id="ingo", organisation_id="globex"))
    error = refused(
        office,
        ka.Organisation("sound", name="S"),
        ka.Organisation("o1", name="1", parent_id="nowhere"),
        ka.User("u1", name="U", unit_ids=("nope", "sales")),
        ka.Position("p1", contact_id="nobody", organisation_id="acme", reports_to_id="boss"),
        ka.Assignment("a1", user_id="volker", organisation_id="acme", role="janitor"),
        ka.Unit("x", name="X", parent_id="y"),
        ka.Unit("y", name="Y", parent_id="x"),
        ka.Grant("g1", organisation_id="acme", principal=ka.unit("no unit")),
        ka.ServiceNote("n1", organisation_id="acme", about=("Activity", "no activity"), text="x"),  # type: ignore[arg-type]
    )
    assert {(p.entity, p.field) for p in error.problems} == {
        ("Organisation 'o1'", "parent_id"),
        ("User 'u1'", "unit_ids"),
        ("Position 'p1'", "contact_id"),
        ("Position 'p1'", "reports_to_id"),
        ("Assignment 'a1'", "role"),
        ("Unit 'x'", "parent_id"),
        ("Grant 'g1'", "principal"),
        ("ServiceNote 'n1'", "about"),
    }


def test_unknown_contexts_are_among_the_problems(office: ka.Desk) -> None:
    """Unregistered contexts are UnknownContext, with the nearest name, and do not hide other problems of the call."""
    error = refused(office, ka.ServiceNote("n", organisation_id="acme", text="x", contexts=("documents.invioce",)))
    assert isinstance(error, ka.UnknownContext)
    assert "documents.invoice" in str(error)
    error = refused(
        office,
        ka.ServiceNote("n", organisation_id="acme", text="x", contexts=("documents.invioce", "fone")),
        ka.Organisation("o1", name="1", parent_id="nowhere"),
    )
    assert len(error.problems) == 3


def test_contexts_register_what_is_above_them(office: ka.Desk) -> None:
    """A context registers its ancestors, and a note may use one that comes in the same call."""
    office.put(
        ka.ServiceNote("n", organisation_id="acme", text="x", contexts=("shop.till",)), ka.Context("shop.till.left")
    )
    assert {row.id for row in office.find(ka.Context)} > {"shop", "shop.till", "shop.till.left"}


Maker = Any
FORESTS: list[tuple[str, str, Maker]] = [
    ("Unit", "parent_id", lambda own, up: ka.Unit(own, name=own, parent_id=up)),
    ("Organisation", "parent_id", lambda own, up: ka.Organisation(own, name=own, parent_id=up)),
    (
        "Position",
        "reports_to_id",
        lambda own, up: ka.Position(own, contact_id="ingo", organisation_id="acme", reports_to_id=up),
    ),
]


@pytest.mark.parametrize(("kind", "field", "make"), FORESTS)
def test_cycles_are_refused_by_name(office: ka.Desk, kind: str, field: str, make: Maker) -> None:
    """A cycle is refused, naming its members in order: made at once, or closed over what is stored."""
    error = refused(office, make("a", "b"), make("b", "c"), make("c", "a"), make("d", "a"))
    (problem,) = error.problems
    assert (problem.entity.split()[0], problem.field) == (kind, field)
    assert "'a' → 'b' → 'c' → 'a'" in problem.reason

    stored: tuple[Any, ...] = office.put(make("a", None), make("b", "a"), make("c", "b"), make("d", "c"))
    a, b, c, _ = stored
    error = refused(office, attrs.evolve(a, **{field: "c"}))
    assert "'a' → 'c' → 'b' → 'a'" in error.problems[0].reason
    office.put(attrs.evolve(c, **{field: "a"}), a)
    assert getattr(office.get(type(b), "c"), field) == "a"


def test_a_cycle_closed_by_a_stream(office: ka.Desk) -> None:
    """A cycle whose ends come in different parts of a long stream is refused, and nothing of the stream is kept."""
    before = everything(office)
    stream = [ka.Organisation(f"o{n:04}", name="x", parent_id=f"o{(n + 1) % 2_500:04}") for n in range(2_500)]
    with pytest.raises(ka.ValidationError, match="cycle"):
        office.put_many(stream)
    assert everything(office) == before


def test_reports_to_stays_within_one_organisation(office: ka.Desk) -> None:
    """A position reports to one at the same organisation, also where that one comes later in a long stream."""
    office.put(ka.Organisation("globex", name="G"))
    own = ka.Position("p", contact_id="ingo", organisation_id="acme", reports_to_id="boss")
    boss = ka.Position("boss", contact_id="ingo", organisation_id="globex")
    assert refused(office, own, boss).problems[0].field == "reports_to_id"
    fill = [ka.Organisation(f"o{n:04}", name="x") for n in range(1_500)]
    before = everything(office)
    for stream in ([boss, *fill, own], [own, *fill, boss]):
        with pytest.raises(ka.ValidationError, match="another organisation"):
            office.put_many(stream)
        assert everything(office) == before


def test_external_references_are_unique(office: ka.Desk) -> None:
    """A reference belongs to one record of a kind: taken, given twice, and free again after a change or removal."""
    ref: Any = {"erp": "42"}
    office.put(ka.Organisation("one", name="1", refs=ref), ka.Contact("c", name="C", refs=ref))  # another kind: allowed
    before = everything(office)
    for entities in (
        [ka.Organisation("two", name="2", refs=ref)],
        [attrs.evolve(office.get(ka.Organisation, "acme"), refs=ref)],
        [ka.Organisation("x", name="x", refs={"crm": "7"}), ka.Organisation("y", name="y", refs={"crm": "7"})],
    ):
        with pytest.raises(ka.ConflictError):
            office.put(*entities)
        assert everything(office) == before
    assert office.get(ka.Organisation, ref=("erp", "42")).id == "one"
    one = office.put(attrs.evolve(office.get(ka.Organisation, "one"), refs={"erp": "43"}))
    office.put(ka.Organisation("two", name="2", refs=ref))
    office.remove(ka.Organisation, "two")
    office.put(attrs.evolve(one, refs=ref))
    assert office.get(ka.Organisation, ref=("erp", "42")).id == "one"


def test_references_change_hands_in_one_call(office: ka.Desk) -> None:
    """Two records may exchange their references in one call."""
    one, two = (office.put(ka.Organisation(id, name=id, refs={"erp": id})) for id in ("1", "2"))
    office.put(attrs.evolve(one, refs={"erp": "2"}), attrs.evolve(two, refs={"erp": "1"}))
    assert [office.get(ka.Organisation, ref=("erp", id)).id for id in ("1", "2")] == ["2", "1"]


SPANS: list[tuple[int | None, int | None, bool]] = [
    (None, None, False),
    (None, -1, True),
    (None, 0, False),
    (10, None, False),
    (11, None, True),
    (3, 4, False),
    (-5, -1, True),
]


@pytest.mark.parametrize(("start", "end", "free"), SPANS)
def test_single_holders(office: ka.Desk, start: int | None, end: int | None, free: bool) -> None:
    """A role for one has one holder on each day of an organisation; a shared day is refused."""
    first, last = (None if n is None else DAY + timedelta(days=n) for n in (start, end))
    office.put(
        ka.Contact("ina", name="Ina"),
        ka.Organisation("globex", name="G"),
        ka.Position(
            "p1",
            contact_id="ingo",
            organisation_id="acme",
            role="invoices",
            valid_from=DAY,
            valid_until=DAY + timedelta(days=10),
        ),
        ka.Position("p2", contact_id="ina", organisation_id="globex", role="invoices"),
        ka.Position("p3", contact_id="ina", organisation_id="acme", role="sales manager"),
        ka.Position("p4", contact_id="ingo", organisation_id="acme", role="sales manager"),
    )
    second = ka.Position(
        "p5", contact_id="ina", organisation_id="acme", role="invoices", valid_from=first, valid_until=last
    )
    if free:
        office.put(second)
    else:
        assert refused(office, second).problems[0].field == "role"


def test_single_holders_in_one_call(office: ka.Desk) -> None:
    """Two holders in one call are refused; one who steps down in the call makes room."""
    one = ka.Position("p1", contact_id="ingo", organisation_id="acme", role="invoices")
    two = ka.Position("p2", contact_id="ingo", organisation_id="acme", role="invoices")
    assert {p.field for p in refused(office, one, two).problems} == {"role"}
    stored = office.put(one)
    office.put(two, attrs.evolve(stored, role=None))
    assert [row.id for row in office.find(ka.Position, role="invoices")] == ["p2"]


def test_a_role_made_single_has_one_holder(office: ka.Desk) -> None:
    """A role that several hold at a time cannot be made one for a single holder."""
    office.put(ka.ContactRole("buyer"))
    for id in ("p1", "p2"):
        office.put(ka.Position(id, contact_id="ingo", organisation_id="acme", role="buyer"))
    refused(office, attrs.evolve(office.get(ka.ContactRole, "buyer"), single=True))


# ---- streams ---------------------------------------------------------------------------------------------


def test_references_may_lead_ahead(office: ka.Desk) -> None:
    """A stream may refer to records that come later in it, however far; its number is returned."""
    chain = [
        ka.Organisation(f"o{n:04}", name="x", parent_id=f"o{n + 1:04}" if n < 2_499 else None) for n in range(2_500)
    ]
    assert office.put_many(iter(chain)) == 2_500
    assert office.count(ka.Organisation) == 2_501


def test_references_to_nowhere_are_refused_at_the_end(office: ka.Desk) -> None:
    """A stream whose references lead to records that never come is refused with all of them, and nothing is kept."""
    before = everything(office)
    stream = [ka.Organisation(f"o{n:04}", name="x") for n in range(1_200)]
    stream[3] = attrs.evolve(stream[3], parent_id="nowhere")
    stream[1_100] = attrs.evolve(stream[1_100], parent_id="neither")
    with pytest.raises(ka.ValidationError) as caught:
        office.put_many(stream)
    assert {(p.entity, p.field) for p in caught.value.problems} == {
        ("Organisation 'o0003'", "parent_id"),
        ("Organisation 'o1100'", "parent_id"),
    }
    assert everything(office) == before


@pytest.mark.parametrize("stream", [None, 5, [5], ["acme"], [None], ka.Organisation("x", name="x")])
def test_what_is_no_stream_of_records(office: ka.Desk, stream: Any) -> None:
    """What is no iterable of records is refused, and nothing is written."""
    before = everything(office)
    with pytest.raises(ka.ValidationError):
        office.put_many(stream)
    assert everything(office) == before


# ---- private ---------------------------------------------------------------------------------------------


def test_private_needs_a_manager_at_commit(office: ka.Desk) -> None:
    """A transaction that leaves an account private without a manager in force is refused whole; the order is free."""
    before = everything(office)
    shielded = ka.Organisation("new", name="N", private=True)
    for extra in (
        (),
        (ka.Assignment(user_id="volker", organisation_id="new", role=ka.DEPUTY),),
        (ka.Assignment(user_id="volker", organisation_id="new", valid_until=date(2020, 1, 1)),),
        (ka.Assignment(user_id="volker", organisation_id="new", valid_from=date(2100, 1, 1)),),
        (ka.User("gone", name="G", active=False), ka.Assignment(user_id="gone", organisation_id="new")),
    ):
        with pytest.raises(ka.ValidationError) as caught:
            office.put(shielded, *extra)
        assert (caught.value.problems[0].entity, caught.value.problems[0].field) == ("Organisation 'new'", "private")
        assert everything(office) == before
    with office.transaction():
        office.put(shielded)
        office.put(ka.Assignment(user_id="volker", organisation_id="new"))
    assert office.get(ka.Organisation, "new").private


def test_the_last_manager_of_a_private_account_stays(office: ka.Desk) -> None:
    """The last manager cannot be removed, ended, moved or demoted without a successor in the same transaction."""
    office.put(attrs.evolve(office.get(ka.Organisation, "acme"), private=True))
    kam, before = office.get(ka.Assignment, "kam"), everything(office)
    with pytest.raises(ka.ValidationError):
        office.remove(ka.Assignment, "kam")
    for change in (
        {"valid_until": date(2020, 1, 1)},
        {"valid_from": date(2100, 1, 1)},
        {"role": ka.DEPUTY},
        {"organisation_id": None, "contact_id": "ingo"},
    ):
        with pytest.raises(ka.ValidationError):
            office.put(attrs.evolve(kam, **change))
    assert everything(office) == before
    with office.transaction():
        office.remove(ka.Assignment, "kam")
        office.put(ka.Assignment("next", user_id="carla", organisation_id="acme"))
    assert [row.id for row in office.find(ka.Assignment)] == ["next"]
    later = office.put(attrs.evolve(office.get(ka.Assignment, "next"), valid_until=date(2100, 1, 1)))
    assert later.version == 2  # an end that lies ahead is allowed


@pytest.mark.parametrize("how", ["remove", "deactivate"])
def test_a_private_account_may_lose_its_user(office: ka.Desk, how: str) -> None:
    """Removing or deactivating the manager as a user is allowed: the account is then nobody's, never everybody's."""
    office.put(attrs.evolve(office.get(ka.Organisation, "acme"), private=True))
    if how == "remove":
        office.remove(ka.User, "volker")
    else:
        office.put(attrs.evolve(office.get(ka.User, "volker"), active=False))
    assert office.get(ka.Organisation, "acme").private
    assert office._book.desk("carla").count(ka.Organisation) == 0


# ---- removing --------------------------------------------------------------------------------------------


def test_removing_an_organisation(office: ka.Desk) -> None:
    """What hangs on an organisation goes with it, at every level; references that can be empty are cleared."""
    office.put(
        ka.Organisation("child", name="C", parent_id="acme"),
        ka.Position("report", contact_id="ingo", organisation_id="acme", reports_to_id="job"),
        ka.Grant("g", organisation_id="acme", principal=ka.EVERYONE),
        ka.ServiceNote("n", organisation_id="acme", text="x"),
        ka.ServiceNote("both", organisation_id="acme", contact_id="ingo", text="x"),
        ka.ServiceNote("person", contact_id="ingo", text="x"),
        ka.Activity("a", organisation_id="acme", contact_ids=("ingo",)),
    )
    office._book.desk("volker").service_notes.acknowledge("n")
    assert office.count(ka.Acknowledgement) == 1
    office.remove(ka.Organisation, "acme")
    kinds: list[Any] = [ka.Position, ka.Grant, ka.Activity, ka.Assignment, ka.Acknowledgement]
    assert [office.count(kind) for kind in kinds] == [0] * 5
    assert [row.id for row in office.find(ka.ServiceNote)] == ["person"]
    child = office.get(ka.Organisation, "child")
    assert (child.parent_id, child.version) == (None, 2)
    assert office.get(ka.Contact, "ingo").name == "Ingo"
    with pytest.raises(ka.NotFound):
        office.remove(ka.Organisation, "acme")


def test_removing_a_contact(office: ka.Desk) -> None:
    """A contact goes with its positions; activities lose the name, and go where nothing else says whose they are."""
    office.put(
        ka.Contact("ina", name="Ina"),
        ka.Activity("with both", contact_ids=("ingo", "ina")),
        ka.Activity("alone", contact_ids=("ingo",)),
        ka.Activity("account", organisation_id="acme", contact_ids=("ingo",)),
        ka.Position("report", contact_id="ina", organisation_id="acme", reports_to_id="job"),
    )
    office.remove(ka.Contact, "ingo")
    assert {row.id: row.contact_ids for row in office.find(ka.Activity)} == {"with both": ("ina",), "account": ()}
    assert {row.id: row.reports_to_id for row in office.find(ka.Position)} == {"report": None}


def test_removing_a_user_and_a_unit(office: ka.Desk) -> None:
    """A user goes with assignments; heads, members, authors and units below are cleared; nothing dangles."""
    office.put(
        ka.Unit("dach", name="D", parent_id="sales", head_id="volker"),
        ka.Activity("a", organisation_id="acme", by_id="volker"),
        ka.ServiceNote("n", organisation_id="acme", text="x", created_by="volker"),
    )
    office.remove(ka.User, "volker")
    assert office.count(ka.Assignment) == 0
    assert office.get(ka.Unit, "dach").head_id is None
    assert office.get(ka.Activity, "a").by_id is None
    assert office.get(ka.ServiceNote, "n").created_by is None
    office.put(attrs.evolve(office.get(ka.User, "carla"), unit_ids=("sales", "dach")))
    office.remove(ka.Unit, "sales")
    assert office.get(ka.User, "carla").unit_ids == ("dach",)
    assert office.get(ka.Unit, "dach").parent_id is None


def test_an_audience_never_becomes_everybody(office: ka.Desk) -> None:
    """A note for a unit that is removed is shown to nobody else for that."""
    office.put(ka.ServiceNote("n", organisation_id="acme", text="secret", audience_unit_ids=("sales",)))
    office.remove(ka.Unit, "sales")
    shown = office._book.desk("carla").notes(organisation="acme", context="crm")
    assert [note.text for note in shown if note.text == "secret"] == []


def test_a_grant_goes_with_whom_it_is_for(office: ka.Desk) -> None:
    """A grant to a user or unit that is removed does not wait for the next one of that id."""
    office.put(
        ka.Grant("g1", organisation_id="acme", principal=ka.user("carla"), right=ka.Right.CHANGE),
        ka.Grant("g2", organisation_id="acme", principal=ka.unit("sales"), right=ka.Right.CHANGE),
    )
    office.remove(ka.User, "carla")
    office.remove(ka.Unit, "sales")
    office.put(ka.Unit("sales", name="Another"), ka.User("carla", name="Another Carla", unit_ids=("sales",)))
    assert not office._book.desk("carla").may("acme", ka.Right.CHANGE)


# ---- depth -----------------------------------------------------------------------------------------------


def test_a_deep_organogram_answers() -> None:
    """In a unit tree of 5,000 levels a grant to the top reaches the bottom, and a cycle through it is refused."""
    started = time.monotonic()
    with ka.open(policy=ka.AccessPolicy(default=None)) as book:
        office = book.trusted("test")
        office.put_many(ka.Unit(f"u{n:04}", name="x", parent_id=f"u{n - 1:04}" if n else None) for n in range(DEPTH))
        office.put(
            ka.User("deep", name="D", unit_ids=(f"u{DEPTH - 1:04}",)),
            ka.Organisation("acme", name="A"),
            ka.Grant(organisation_id="acme", principal=ka.unit("u0000"), right=ka.Right.CHANGE),
        )
        desk = book.desk("deep")
        assert desk.may("acme", ka.Right.CHANGE)
        assert [row.id for row in desk.find(ka.Organisation)] == ["acme"]
        top = office.get(ka.Unit, "u0000")
        with pytest.raises(ka.ValidationError, match="cycle") as caught:
            office.put(attrs.evolve(top, parent_id=f"u{DEPTH - 1:04}"))
        assert len(str(caught.value)) < 200_000
        office.remove(ka.Unit, "u2500")
        assert desk.count(ka.Organisation) == 0
    assert time.monotonic() - started < SECONDS


def test_a_deep_chain_of_parents_answers() -> None:
    """In a chain of 5,000 organisations rights, notes, managers, cards and lists reach the bottom."""
    started = time.monotonic()
    with ka.open(policy=ka.AccessPolicy(default=None)) as book:
        office, bottom = book.trusted("test"), f"o{DEPTH - 1:04}"
        office.put(ka.User("volker", name="Volker"))
        office.put_many(
            ka.Organisation(f"o{n:04}", name="x", parent_id=f"o{n - 1:04}" if n else None) for n in range(DEPTH)
        )
        office.put(
            ka.Assignment("kam", user_id="volker", organisation_id="o0000", covers_subsidiaries=True),
            ka.ServiceNote("n", organisation_id="o0000", text="For all of you", for_subsidiaries=True),
        )
        desk = book.desk("volker")
        assert desk.may(bottom, ka.Right.ADMINISTER)
        assert desk.count(ka.Organisation) == DEPTH
        assert [note.text for note in desk.notes(organisation=bottom, context="crm") if note.id == "n"] == [
            "For all of you"
        ]
        card = desk.card(organisation=bottom, context="crm")
        assert card.key_account_manager is not None
        assert card.key_account_manager.user.id == "volker"
        assert len(desk.notes_for(organisations=["o0000", bottom], context="crm")) == 2
        with pytest.raises(ka.ValidationError, match="cycle"):
            office.put(attrs.evolve(office.get(ka.Organisation, "o0000"), parent_id=bottom))
        office.remove(ka.Organisation, "o2500")
        assert desk.count(ka.Organisation) == 2_500
    assert time.monotonic() - started < SECONDS


def test_notes_for_a_whole_chain() -> None:
    """The notes of all organisations of one long chain are answered together in reasonable time."""
    started = time.monotonic()
    with ka.open() as book:
        office = book.trusted("test")
        ids = [f"o{n:04}" for n in range(1_000)]
        office.put_many(ka.Organisation(id, name="x", parent_id=ids[n - 1] if n else None) for n, id in enumerate(ids))
        office.put(ka.ServiceNote("n", organisation_id=ids[0], text="All", for_subsidiaries=True))
        assert all(len(notes) == 1 for notes in office.notes_for(organisations=ids, context="crm").values())
    assert time.monotonic() - started < SECONDS


def test_a_deep_line_of_command_answers(office: ka.Desk) -> None:
    """A chain of 5,000 positions that report to each other is written, and closing it is refused."""
    started = time.monotonic()
    office.put_many(
        ka.Position(f"p{n:04}", contact_id="ingo", organisation_id="acme", reports_to_id=f"p{n - 1:04}" if n else None)
        for n in range(DEPTH)
    )
    with pytest.raises(ka.ValidationError, match="cycle"):
        office.put(attrs.evolve(office.get(ka.Position, "p0000"), reports_to_id=f"p{DEPTH - 1:04}"))
    assert office.get(ka.Position, f"p{DEPTH - 1:04}").version == 1
    assert time.monotonic() - started < SECONDS


# ---- contexts that go ------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["memory", "file"])
def test_a_context_that_goes_hides_no_note(engine: str, tmp_path: Path) -> None:
    """What named only a context that is removed appears everywhere; what named another too appears there."""
    with ka.open(tmp_path / "a.sqlite") if engine == "file" else ka.open() as book:
        office = book.trusted("test")
        office.service_notes.add_context("zoo")
        office.put(ka.Organisation("acme", name="ACME"), ka.NoteCategory("beasts", contexts=("zoo",)))
        office.put(
            ka.ServiceNote("own", organisation_id="acme", text="a", contexts=("zoo",)),
            ka.ServiceNote("two", organisation_id="acme", text="b", contexts=("zoo", "phone")),
            ka.ServiceNote("category", organisation_id="acme", text="c", category="beasts"),
        )
        assert not office.notes(organisation="acme", context="crm")
        office.remove(ka.Context, "zoo")
        assert [note.id for note in office.notes(organisation="acme", context="crm")] == ["category", "own"]
        assert [note.id for note in office.notes(organisation="acme", context="phone")] == ["category", "own", "two"]
        assert office.get(ka.ServiceNote, "two").contexts == ("phone",)
        assert not book.check()


def test_a_context_above_others_stays() -> None:
    """Notes of a context appear in those below it; it cannot be removed as long as there are any."""
    office = ka.open().trusted("test")
    with pytest.raises(ka.ValidationError, match="has contexts below it"):
        office.remove(ka.Context, "documents")
    for below in ("invoice", "order", "quote", "reminder"):
        office.remove(ka.Context, f"documents.{below}")
    office.remove(ka.Context, "documents")
    assert office.count(ka.Context, id="documents") == 0
