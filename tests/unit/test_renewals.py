"""The work of renewing: alerts raised once, steps that are kept, and a signature that closes the loop."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs
import pytest

import keyaccount as ka

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
TODAY = NOON.date()
YEAR: dict[str, Any] = {
    "signed_on": date(2025, 12, 1),
    "starts_on": date(2026, 1, 1),
    "ends_on": date(2026, 12, 31),
}


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        """Begin at noon."""
        self.now = NOON

    def __call__(self) -> datetime:
        """Say what time it is."""
        return self.now

    def later(self, **by: float) -> None:
        """Let time pass."""
        self.now += timedelta(**by)


@pytest.fixture
def clock() -> Clock:
    """Make a clock."""
    return Clock()


@pytest.fixture(params=["memory", "SQLite"])
def book(request: pytest.FixtureRequest, clock: Clock, tmp_path: Path) -> Iterator[ka.Book]:
    """Open a book with two accounts: volker manages acme, rita may read it, nobody reads the private one but kurt."""
    path = tmp_path / "book.db" if request.param == "SQLite" else None
    with ka.open(path, clock=clock, policy=ka.AccessPolicy(default=None)) as book:
        office = book.trusted("setup")
        office.put(*(ka.User(name, name=name.title()) for name in ("volker", "rita", "kurt")))
        office.put(
            *(ka.Organisation("acme", name="ACME"), ka.Organisation("hush", name="Hush", private=True)),
            *(ka.Assignment("a", "volker", "acme"), ka.Assignment("k", "kurt", "hush")),
            ka.Grant("g", "acme", ka.user("rita"), ka.Right.READ),
        )
        yield book


@pytest.fixture
def office(book: ka.Book) -> ka.Desk:
    """Return the desk of the host's jobs."""
    return book.trusted("nightly")


def contract(id: str = "m1", organisation: str = "acme", **more: Any) -> ka.Contract:
    """Make a contract for the year 2026, without notice: its alert is due on 1 November (31 December less 60 days)."""
    return ka.Contract(id, organisation, **(YEAR | more))


def raised(office: ka.Desk, **more: Any) -> ka.Renewal:
    """Put a contract and raise its alert."""
    office.put(contract(**more))
    (row,) = office.renewals.raise_alerts().raised
    return row


def states(office: ka.Desk) -> list[tuple[str, str, date | None]]:
    """Tell the contract, state and due day of every renewal."""
    return [
        (row.contract_id, row.state, row.due_on) for row in office.find(ka.Renewal, order=("contract_id", "due_on"))
    ]


# ---- alerts ----------------------------------------------------------------------------------------------------------


def test_an_alert_is_due_sixty_days_before_the_deadline(office: ka.Desk) -> None:
    """No alert on 31 October, one from 1 November on: 60 days before 31 December; with notice, before its deadline."""
    office.put(contract(), contract("m2", notice="3 months", ends_on=date(2027, 4, 30)))
    assert list(office.renewals.raise_alerts(on=date(2026, 10, 31)).raised) == []
    (row,) = office.renewals.raise_alerts(on=date(2026, 11, 1)).raised
    assert (row.contract_id, row.organisation_id, row.state) == ("m1", "acme", "alerted")
    assert (row.raised_on, row.alert_on) == (date(2026, 11, 1), date(2026, 11, 1))
    assert (row.deadline_on, row.due_on) == (date(2026, 12, 31), date(2026, 12, 31))
    # 30 April and one day, less three months, less one day: 31 January; less 60 days: 2 December
    assert list(office.renewals.raise_alerts(on=date(2026, 12, 1)).raised) == []
    (row,) = office.renewals.raise_alerts(on=date(2026, 12, 2)).raised
    assert (row.deadline_on, row.due_on, row.raised_on) == (date(2027, 1, 31), date(2027, 4, 30), date(2026, 12, 2))


def test_the_lead_is_the_books(clock: Clock) -> None:
    """A book's own lead, by kind and account, says when an alert is due."""
    book = ka.open(clock=clock, lead=lambda kind, account: 10 if (kind, account) == ("lease", "acme") else 40)
    office = book.trusted("test")
    office.put(ka.Organisation("acme", name="A"), contract(kind="lease"), contract("m2", kind="supply"))
    assert [row.contract_id for row in office.renewals.raise_alerts(on=date(2026, 12, 20)).raised] == ["m2"]
    assert [row.contract_id for row in office.renewals.raise_alerts(on=date(2026, 12, 21)).raised] == ["m1"]
    assert office.contracts.state("m1", on=date(2026, 12, 20)) == "running"
    assert office.contracts.state("m1", on=date(2026, 12, 21)) == "in notice window"


def test_raising_again_changes_nothing(office: ka.Desk, clock: Clock) -> None:
    """However often alerts are raised, a contract has one open renewal, of its first version."""
    row = raised(office)
    for days in (0, 1, 30):
        clock.later(days=days)
        found = office.renewals.raise_alerts()
        assert (found.raised, found.moved, found.superseded) == ((), (), ())
    assert list(office.find(ka.Renewal)) == [row]
    assert row.version == 1


def test_a_moved_end_moves_the_alert(office: ka.Desk, clock: Clock) -> None:
    """An end moved by hand moves the days of the renewal; its first raise, its state and its steps stay."""
    row = raised(office)
    office.renewals.advance(row.id, to="analysing")
    clock.later(days=3)
    office.put(attrs.evolve(office.get(ka.Contract, "m1"), ends_on=date(2027, 3, 31)))
    found = office.renewals.raise_alerts()
    (moved,) = found.moved
    assert (found.raised, found.superseded, moved.id, moved.state) == ((), (), row.id, "analysing")
    assert (moved.raised_on, moved.due_on, moved.alert_on) == (TODAY, date(2027, 3, 31), date(2027, 1, 30))
    assert [step.to for step in moved.steps] == ["alerted", "analysing"]
    assert office.renewals.raise_alerts().moved == ()


def test_a_moved_and_lost_renewal_does_not_hinder_the_next(office: ka.Desk) -> None:
    """An end that was moved, given up, and moved back is a new alert of its own."""
    row = raised(office)
    office.put(attrs.evolve(office.get(ka.Contract, "m1"), ends_on=date(2027, 1, 10)))
    assert [one.id for one in office.renewals.raise_alerts().moved] == [row.id]
    office.renewals.lose(row.id, reason="price")
    assert office.renewals.raise_alerts().raised == ()
    office.put(attrs.evolve(office.get(ka.Contract, "m1"), ends_on=date(2026, 12, 31)))
    (again,) = office.renewals.raise_alerts().raised
    assert again.id != row.id
    assert states(office) == [("m1", "alerted", date(2026, 12, 31)), ("m1", "lost", date(2027, 1, 10))]


@pytest.mark.parametrize(
    ("change", "note"),
    [
        ({"terminated_on": date(2026, 11, 20)}, "the contract was terminated"),
        ({"ends_on": None}, "the contract has no end"),
        ({"signed_on": None}, "the contract does not count"),
    ],
)
def test_what_needs_nobody_is_superseded(office: ka.Desk, change: dict[str, Any], note: str) -> None:
    """A contract terminated, made open-ended or unsigned ends its renewal, with the reason in the last step."""
    row = raised(office)
    office.put(attrs.evolve(office.get(ka.Contract, "m1"), **change))
    (over,) = office.renewals.raise_alerts().superseded
    assert (over.id, over.state, over.open) == (row.id, "superseded", False)
    last = over.steps[-1]
    assert (last.at, last.by_id, last.before, last.to, last.note) == (NOON, None, "alerted", "superseded", note)
    assert len(office.renewals.open_renewals()) == 0


def test_a_successor_made_otherwise_supersedes(office: ka.Desk) -> None:
    """A contract renewed past the workflow ends its renewal; a draft of a successor does not."""
    raised(office)
    after = contract("m2", starts_on=date(2027, 1, 1), ends_on=date(2027, 12, 31), predecessor_ids=("m1",))
    office.put(attrs.evolve(after, signed_on=None))
    assert office.renewals.raise_alerts().superseded == ()
    office.put(attrs.evolve(office.get(ka.Contract, "m2"), signed_on=TODAY))
    (over,) = office.renewals.raise_alerts().superseded
    assert over.steps[-1].note == "the contract was renewed"


def test_a_notice_taken_back_is_an_alert_again(office: ka.Desk) -> None:
    """A contract whose termination is undone is alerted again, under a new id."""
    row = raised(office)
    stored = office.put(attrs.evolve(office.get(ka.Contract, "m1"), terminated_on=TODAY))
    office.renewals.raise_alerts()
    office.put(attrs.evolve(stored, terminated_on=None))
    (again,) = office.renewals.raise_alerts().raised
    assert again.id != row.id
    assert [state for _, state, _ in states(office)].count("alerted") == 1


def test_an_auto_renewing_contract_gets_a_renewal_for_each_end(office: ka.Desk) -> None:
    """Once its deadline has passed a contract has rolled on: its renewal is superseded, the next end gets its own.

    End 31 December, notice 1 month: deadline 30 November, alert 1 October. The next end is 31 December 2027.
    """
    row = raised(office, renewal_term=ka.months(12), notice="1 month")
    assert (row.deadline_on, row.due_on, row.alert_on) == (date(2026, 11, 30), date(2026, 12, 31), date(2026, 10, 1))
    found = office.renewals.raise_alerts(on=date(2026, 11, 30))
    assert (found.raised, found.superseded) == ((), ())
    found = office.renewals.raise_alerts(on=date(2026, 12, 1))
    assert [one.id for one in found.superseded] == [row.id]
    assert (found.raised, found.moved, found.superseded[0].due_on) == ((), (), date(2026, 12, 31))
    assert office.renewals.raise_alerts(on=date(2027, 9, 30)).raised == ()
    (after,) = office.renewals.raise_alerts(on=date(2027, 10, 1)).raised
    assert (after.due_on, after.raised_on, after.id != row.id) == (date(2027, 12, 31), date(2027, 10, 1), True)
    assert states(office) == [("m1", "superseded", date(2026, 12, 31)), ("m1", "alerted", date(2027, 12, 31))]


def test_short_terms_are_alerted_one_after_another(office: ka.Desk) -> None:
    """Where the next end's alert is due already, one run ends the one renewal and raises the other."""
    raised(office, ends_on=date(2026, 11, 30), renewal_term=ka.months(1))
    found = office.renewals.raise_alerts(on=date(2026, 12, 1))
    assert [one.due_on for one in found.superseded] == [date(2026, 11, 30)]
    # the terms are anchored at 1 January: the next one ends on 31 December
    assert [one.due_on for one in found.raised] == [date(2026, 12, 31)]
    assert len(office.renewals.open_renewals()) == 1


def test_an_earlier_day_changes_nothing_later(office: ka.Desk) -> None:
    """Raising for a day before the first raise leaves what was raised since as it is."""
    row = raised(office)
    found = office.renewals.raise_alerts(on=date(2025, 6, 1))
    assert (found.raised, found.moved, found.superseded) == ((), (), ())
    assert office.get(ka.Renewal, row.id) == row


def test_a_renewal_goes_with_its_contract(office: ka.Desk) -> None:
    """Removing a contract removes its renewal; moving it to another organisation moves the renewal at the next run."""
    row = raised(office)
    office.put(attrs.evolve(office.get(ka.Contract, "m1"), organisation_id="hush"))
    (moved,) = office.renewals.raise_alerts().moved
    assert (moved.id, moved.organisation_id) == (row.id, "hush")
    office.remove(ka.Contract, "m1")
    assert len(office.find(ka.Renewal)) == 0
    assert office.renewals.raise_alerts().raised == ()


def test_a_renewal_is_read_with_its_contract_only(book: ka.Book, office: ka.Desk) -> None:
    """Who may not read where the contract has gone meanwhile does not read its renewal either."""
    row = raised(office)
    office.put(attrs.evolve(office.get(ka.Contract, "m1"), organisation_id="hush"))
    desk = book.desk("volker")
    for call in (lambda: desk.get(ka.Renewal, row.id), lambda: desk.renewals.analysis(row.id)):
        with pytest.raises(ka.NotFound):
            call()
    assert (len(desk.renewals.open_renewals()), desk.count(ka.Renewal)) == (0, 0)


def test_contracts_of_suppliers_are_not_alerted(office: ka.Desk) -> None:
    """An organisation that is something else and no customer gets no alerts; one that says nothing does."""
    office.put(
        ka.Organisation("supplier", name="S", relationships=("supplier",)),
        ka.Organisation("both", name="B", relationships=("supplier", "customer")),
        *(contract(f"of {name}", name) for name in ("supplier", "both", "acme")),
    )
    assert [row.organisation_id for row in office.renewals.raise_alerts().raised] == ["acme", "both"]


def raise_at_once(path: str, barrier: Any, day: date, answers: Any) -> None:
    """Raise alerts in a process of its own, at the moment the other does."""
    with ka.open(path, clock=lambda: NOON) as book:
        desk = book.trusted("nightly")
        barrier.wait(60)
        while True:
            try:
                found = desk.renewals.raise_alerts(on=day)
            except ka.StorageUnavailable:
                continue
            answers.put([row.id for row in found.raised])
            return


def test_two_processes_raise_once(tmp_path: Path) -> None:
    """Two processes that raise the same alerts at the same moment raise each once, round after round."""
    path = str(tmp_path / "book.db")
    spawn = multiprocessing.get_context("spawn")
    ends = [date(2026, 3, 31), date(2026, 6, 30), date(2026, 9, 30)]
    with ka.open(path, clock=lambda: NOON) as book:
        office = book.trusted("test")
        office.put(ka.Organisation("acme", name="ACME"))
        office.put(*(contract(f"m{m}-{n}", ends_on=end) for m, end in enumerate(ends) for n in range(20)))
        for number, end in enumerate(ends):
            barrier, answers = spawn.Barrier(2), spawn.Queue()
            both = [spawn.Process(target=raise_at_once, args=(path, barrier, end, answers)) for _ in range(2)]
            for process in both:
                process.start()
            told = [answers.get(timeout=90) for _ in both]
            for process in both:
                process.join(60)
            assert sorted(map(len, told)) == [0, 20]
            assert len(office.find(ka.Renewal)) == 20 * (number + 1)
        rows = office.find(ka.Renewal)
        assert len({row.contract_id for row in rows}) == 60
        assert {row.version for row in rows} == {1}
        assert list(book.check()) == []


# ---- steps -----------------------------------------------------------------------------------------------------------


def test_steps_are_kept(book: ka.Book, office: ka.Desk, clock: Clock) -> None:
    """Every move is kept with when, who, from, to and the note: forward, over several states, and back."""
    row, desk = raised(office), book.desk("volker")
    clock.later(hours=1)
    desk.renewals.advance(row.id, to="proposing", note="they want two years")
    clock.later(hours=1)
    done = desk.renewals.advance(row.id, to="analysing")
    hour = timedelta(hours=1)
    assert [attrs.astuple(step) for step in done.steps] == [
        (NOON, None, None, "alerted", None),
        (NOON + hour, "volker", "alerted", "proposing", "they want two years"),
        (NOON + 2 * hour, "volker", "proposing", "analysing", None),
    ]
    assert (done.state, done.raised_on, done.version) == ("analysing", TODAY, 3)


@pytest.mark.parametrize(
    ("to", "said"),
    [
        ("alerted", "must be one of analysing, proposing, negotiating, agreed"),
        ("propossing", "did you mean 'proposing'?"),
        ("signed", "is reached by renewals.sign"),
        ("lost", "is reached by renewals.lose"),
        ("superseded", "is reached by renewals.raise_alerts"),
        (7, "must be one of analysing, proposing, negotiating, agreed"),
    ],
)
def test_illegal_moves_list_the_legal_ones(office: ka.Desk, to: Any, said: str) -> None:
    """A move that there is not is refused with those that there are, and nothing is changed."""
    row = raised(office)
    with pytest.raises(ka.ValidationError, match="Renewal") as caught:
        office.renewals.advance(row.id, to=to)
    assert said in str(caught.value)
    assert office.get(ka.Renewal, row.id) == row


def test_what_has_ended_stays_so(office: ka.Desk) -> None:
    """A lost renewal is neither advanced, lost again, nor signed; its contract is not alerted again."""
    row = raised(office)
    lost = office.renewals.lose(row.id, reason="moved to a competitor")
    assert (lost.state, lost.reason, lost.steps[-1].note) == ("lost", "moved to a competitor", "moved to a competitor")
    after = contract("m2", starts_on=date(2027, 1, 1), ends_on=None)
    calls: list[Callable[[], Any]] = [
        lambda: office.renewals.advance(row.id, to="agreed"),
        lambda: office.renewals.lose(row.id, reason="again"),
        lambda: office.renewals.sign(row.id, contract=after),
    ]
    for call in calls:
        with pytest.raises(ka.ValidationError, match="cannot follow lost: it is the end"):
            call()
    assert office.count(ka.Contract) == 1
    assert office.renewals.raise_alerts() == type(office.renewals.raise_alerts())()


@pytest.mark.parametrize("reason", ["", None, 7, "  "])
def test_losing_needs_a_reason(office: ka.Desk, reason: Any) -> None:
    """Nobody loses a contract without saying why."""
    row = raised(office)
    with pytest.raises(ka.ValidationError, match="reason"):
        office.renewals.lose(row.id, reason=reason)
    assert office.get(ka.Renewal, row.id) == row


def test_signing_writes_the_successor_and_archives(book: ka.Book, office: ka.Desk) -> None:
    """Signing writes the contract with its predecessor, signed today, and archives the renewal, in one act."""
    row, desk = raised(office), book.desk("volker")
    done = desk.renewals.sign(row.id, contract=ka.Contract("m2", "acme", starts_on=date(2027, 1, 1)))
    assert (done.state, done.archived, done.successor_id, done.open) == ("signed", True, "m2", False)
    after = desk.get(ka.Contract, "m2")
    assert (after.predecessor_ids, after.signed_on) == (("m1",), TODAY)
    assert desk.contracts.state("m1", on=date(2027, 1, 1)) == "renewed"
    moments = [desk.history(kind, id)[-1] for kind, id in ((ka.Contract, "m2"), (ka.Renewal, row.id))]
    assert {one.by for one in moments} == {"volker"}
    assert len({one.at for one in moments}) == 1
    found = office.renewals.raise_alerts()
    assert (found.raised, found.superseded) == ((), ())


def test_co_terminating_keeps_other_predecessors(office: ka.Desk) -> None:
    """A contract that follows several keeps the others, and its own day of signing."""
    office.put(contract("m0", ends_on=date(2027, 6, 30)))
    row = raised(office)
    office.renewals.sign(
        row.id,
        contract=contract("m2", starts_on=date(2027, 1, 1), ends_on=None, signed_on=TODAY, predecessor_ids=("m0",)),
    )
    after = office.get(ka.Contract, "m2")
    assert (after.predecessor_ids, after.signed_on) == (("m0", "m1"), TODAY)


@pytest.mark.parametrize(
    "wrong",
    [
        {"organisation_id": "other"},
        {"organisation_id": "hush"},
        {"predecessor_ids": ("nowhere",)},
        {"id": "m1"},
        {"id": "taken"},
    ],
)
def test_a_failing_contract_leaves_nothing(book: ka.Book, office: ka.Desk, wrong: dict[str, Any]) -> None:
    """A contract of another organisation, or one that cannot be written, leaves the store as it was."""
    row, desk = raised(office), book.desk("volker")
    office.put(ka.Organisation("other", name="O"), ka.Assignment("o", "volker", "other"))
    office.put(contract("taken", starts_on=date(2025, 1, 1)))
    given: dict[str, Any] = {"id": "m2", "organisation_id": "acme", "starts_on": date(2027, 1, 1)} | wrong
    with pytest.raises((ka.ValidationError, ka.ConflictError)):
        desk.renewals.sign(row.id, contract=ka.Contract(**given))
    assert office.get(ka.Renewal, row.id) == row
    assert sorted(one.id for one in office.find(ka.Contract)) == ["m1", "taken"]
    with pytest.raises(ka.ValidationError, match="must be a Contract"):
        desk.renewals.sign(row.id, contract="m2")  # type: ignore[arg-type]


def test_a_step_keeps_what_is_masked(book: ka.Book, office: ka.Desk) -> None:
    """Who may not read the successor does not wipe it out by a step."""
    office.put(contract(), contract("secret", "hush"))
    row = ka.Renewal("r", "acme", "m1", raised_on=TODAY, due_on=TODAY, successor_id="secret")
    office.put(row)
    seen = book.desk("volker").renewals.advance("r", to="agreed")
    assert seen.successor_id is None
    assert office.get(ka.Renewal, "r").successor_id == "secret"


# ---- rights ----------------------------------------------------------------------------------------------------------


def test_who_may_only_read_works_on_nothing(book: ka.Book, office: ka.Desk) -> None:
    """With READ one sees renewals and their analysis; advancing, losing and signing need CHANGE."""
    row, desk = raised(office), book.desk("rita")
    assert list(desk.renewals.open_renewals()) == [row]
    assert desk.renewals.analysis(row.id).renewal == row
    after = ka.Contract("m2", "acme", starts_on=date(2027, 1, 1))
    calls: list[Callable[[], Any]] = [
        lambda: desk.renewals.advance(row.id, to="agreed"),
        lambda: desk.renewals.lose(row.id, reason="price"),
        lambda: desk.renewals.sign(row.id, contract=after),
    ]
    for call in calls:
        with pytest.raises(ka.AccessDenied, match="working on a Renewal needs CHANGE on Organisation 'acme'"):
            call()
    assert office.get(ka.Renewal, row.id) == row
    assert office.count(ka.Contract) == 1


def test_hidden_renewals_are_not_there(book: ka.Book, office: ka.Desk) -> None:
    """What one may not read is neither listed nor found, and fails as what never was."""
    row, desk = raised(office, organisation="hush"), book.desk("volker")
    assert (len(desk.renewals.open_renewals()), len(desk.contracts.due())) == (0, 0)
    after = ka.Contract("m2", "hush", starts_on=date(2027, 1, 1))
    calls: list[Any] = [
        lambda one: desk.renewals.advance(one, to="agreed"),
        lambda one: desk.renewals.lose(one, reason="price"),
        lambda one: desk.renewals.sign(one, contract=after),
        desk.renewals.analysis,
    ]
    for call in calls:
        said = []
        for id in (row.id, "nothing"):
            with pytest.raises(ka.NotFound) as caught:
                call(id)
            said.append(str(caught.value).replace(id, ""))
        assert said[0] == said[1]
    assert list(book.desk("kurt").renewals.open_renewals()) == [row]


def test_bound_desks_raise_and_put_nothing(book: ka.Book, office: ka.Desk) -> None:
    """Raising alerts is for trusted desks; a renewal is written by its calls, whoever manages the account."""
    row, desk = raised(office), book.desk("volker")
    with pytest.raises(ka.AccessDenied):
        desk.renewals.raise_alerts()
    for given in (ka.Renewal("r", "acme", "m1", raised_on=TODAY, due_on=TODAY), attrs.evolve(row, state="agreed")):
        with pytest.raises(ka.AccessDenied, match=r"a Renewal is written by renewals\.advance only"):
            desk.put(given)
    assert list(office.find(ka.Renewal)) == [row]


# ---- once ------------------------------------------------------------------------------------------------------------


def test_a_repeated_key_applies_once(book: ka.Book, office: ka.Desk, clock: Clock) -> None:
    """Steps repeated under a key, at another moment, are made once; other steps under it are refused."""
    row, desk = raised(office), book.desk("volker")

    def work(note: str = "fine", after: str = "m2") -> ka.Renewal:
        with desk.transaction(key="once"):
            desk.renewals.advance(row.id, to="agreed", note=note)
            return desk.renewals.sign(row.id, contract=ka.Contract(after, "acme", starts_on=date(2027, 1, 1)))

    first = work()
    clock.later(days=2)
    assert work() == first
    assert [step.to for step in first.steps] == ["alerted", "agreed", "signed"]
    for note, id in (("another note", "m2"), ("fine", "m3")):
        with pytest.raises(ka.ValidationError, match="was used before, for something else"):
            work(note, id)
    assert office.get(ka.Renewal, row.id) == first
    assert office.count(ka.Contract) == 2


def test_a_contract_under_a_made_id_is_signed_once(book: ka.Book, office: ka.Desk, clock: Clock) -> None:
    """A repeated call may make its contract anew, under a new id of the library's, and signs once."""
    row, desk = raised(office), book.desk("volker")
    for _ in range(2):
        clock.later(days=1)
        with desk.transaction(key="sign"):
            done = desk.renewals.sign(row.id, contract=ka.Contract(organisation_id="acme", starts_on=date(2027, 1, 1)))
    assert office.count(ka.Contract) == 2
    assert desk.get(ka.Contract, done.successor_id).signed_on == TODAY + timedelta(1)


def test_raising_and_losing_under_a_key(office: ka.Desk, clock: Clock) -> None:
    """A job repeated under its key raises and loses once, and says so quietly."""
    office.put(contract())
    for number in range(2):
        clock.later(hours=1)
        with office.transaction(key="job"):
            found = office.renewals.raise_alerts()
        assert len(found.raised) == 1 - number
    (row,) = office.find(ka.Renewal)
    for _ in range(2):
        clock.later(hours=1)
        with office.transaction(key="lose"):
            lost = office.renewals.lose(row.id, reason="price")
        assert (lost.state, len(lost.steps)) == ("lost", 2)


# ---- the analysis ----------------------------------------------------------------------------------------------------


def euros(amount: int) -> ka.Money:
    """Return so many euros."""
    return ka.Money(amount, "EUR")


def test_the_analysis(book: ka.Book, office: ka.Desk, clock: Clock) -> None:
    """Orders, payments, troubles and the last contact of an account, reckoned by hand on 21 November 2026.

    Orders: 300 + 150 = 450 in the twelve months before, 600 in those before them: (450 - 600) / 600 = -1/4. Of four
    invoices due in the year one is paid in time, one 10 days late, one paid in parts 20 days late, one not: 30 / 3 = 10
    days late on average, 1 of 3 in time.
    """

    def order(id: str, day: date, amount: int, **more: Any) -> ka.Order:
        return ka.Order(id, "acme", ordered_on=day, lines=(ka.Line("p", unit_price=euros(amount)),), **more)

    def invoice(id: str, due: date, *paid: tuple[date, int], kind: str = "invoice") -> ka.Invoice:
        payments = tuple(ka.Payment(day, euros(amount)) for day, amount in paid)
        issued = due - timedelta(30)
        return ka.Invoice(id, "acme", kind=kind, issued_on=issued, due_on=due, net=euros(100), payments=payments)

    row = raised(office)
    office.put(
        order("o1", date(2025, 11, 21), 300),
        order("o2", date(2026, 11, 20), 150),
        order("on the day", date(2026, 11, 21), 999),
        order("o3", date(2025, 11, 20), 400),
        order("o4", date(2024, 11, 21), 200),
        order("too old", date(2024, 11, 20), 999),
        order("cancelled", date(2026, 6, 1), 999, state="cancelled"),
        order("draft", date(2026, 6, 1), 999, state="draft"),
        invoice("in time", date(2026, 3, 10), (date(2026, 3, 10), 100)),
        invoice("late", date(2026, 4, 10), (date(2026, 4, 20), 100)),
        invoice("in parts", date(2026, 5, 10), (date(2026, 5, 1), 60), (date(2026, 5, 30), 40)),
        invoice("open", date(2026, 11, 20), (date(2026, 11, 22), 100)),
        invoice("not due", date(2026, 11, 21)),
        invoice("old", date(2025, 11, 20), (date(2026, 11, 1), 100)),
        invoice("note", date(2026, 3, 10), (date(2026, 9, 10), 100), kind="credit note"),
        ka.Link("t1", "acme", kind="ticket"),
        ka.Link("t2", "acme", kind="complaint", state="closed"),
        ka.Link("t3", "acme", kind="complaint"),
        ka.Link("t4", "acme", kind="project"),
        ka.Activity("a1", "acme", kind="call", at=NOON - timedelta(9), by_id="volker"),
        ka.Activity("a2", "acme", kind="call", at=NOON - timedelta(2), by_id="volker", connected=False),
        ka.Activity("a3", "hush", kind="call", at=NOON - timedelta(1)),
    )
    found = book.desk("volker").renewals.analysis(row.id)
    assert (found.contract.id, found.on, found.days_left) == ("m1", TODAY, 40)
    (volume,) = found.volumes
    assert (volume.currency, volume.ordered, volume.before) == ("EUR", euros(450), euros(600))
    assert (volume.trend, sorted(volume.order_ids)) == (Fraction(-1, 4), ["o1", "o2", "o3", "o4"])
    paid = found.payments
    assert (paid.days_late, paid.in_time) == (Fraction(10), Fraction(1, 3))
    assert (set(paid.paid_ids), set(paid.late_ids)) == ({"in time", "late", "in parts"}, {"late", "in parts"})
    assert paid.unpaid_ids == ("open",)
    assert [link.id for link in found.open_troubles] == ["t1", "t3"]
    assert found.last_contact is not None
    assert found.last_contact.id == "a1"
    earlier = book.desk("volker").renewals.analysis(row.id, on=date(2026, 4, 15))
    assert (earlier.payments.paid_ids, earlier.payments.unpaid_ids) == (("in time",), ("old", "late"))
    assert earlier.last_contact is None


def test_an_analysis_of_nothing(office: ka.Desk) -> None:
    """Where nothing was ordered, billed or said, there is no volume, no average and no contact, and nothing is 0."""
    found = office.renewals.analysis(raised(office).id)
    assert (found.volumes, found.open_troubles, found.last_contact) == ((), (), None)
    assert (found.payments.days_late, found.payments.in_time, found.payments.unpaid_ids) == (None, None, ())


def test_open_renewals_come_by_deadline(office: ka.Desk) -> None:
    """The renewal with the nearest deadline comes first, whenever it was raised."""
    office.put(
        contract("late", ends_on=date(2027, 1, 15)),
        contract("soon", ends_on=date(2027, 2, 10), notice="2 months"),  # 10 December
        contract("next", ends_on=date(2026, 12, 20)),
    )
    office.renewals.raise_alerts()
    assert [row.contract_id for row in office.renewals.open_renewals()] == ["soon", "next", "late"]
