"""The calls that change who looks after, and who may see, an account: what each does, to whom, and from when."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import attrs
import pytest

import keyaccount as ka
from keyaccount.model.entity import Entity

R = ka.Right
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
TODAY = NOON.date()
DAY = timedelta(days=1)
PEOPLE = ("volker", "hedwig", "max", "sam")
ANYBODY = ka.user("max")


class World:
    """A closed book of four people and two levels of accounts; Volker manages `acme`, Sam is a steward."""

    def __init__(self, **policy: Any) -> None:
        """Open the book."""
        self.now = NOON
        given = {"default": None, "stewards": {"sam"}, **policy}
        self.book = ka.open(policy=ka.AccessPolicy(**given), clock=lambda: self.now)
        self.office = self.book.trusted("office")
        self.office.put(
            *(ka.User(id, name=id.title()) for id in PEOPLE),
            ka.Organisation("acme", name="ACME"),
            ka.Organisation("acme-at", name="ACME Austria", parent_id="acme"),
            ka.Organisation("other", name="Other"),
        )
        self.put(ka.Assignment("lead", "volker", "acme"))

    def put(self, *records: Entity) -> None:
        """Write records for the office."""
        self.office.put(*records)

    def desk(self, user: str) -> ka.Desk:
        """Return somebody's desk."""
        return self.book.desk(user)

    def right(self, user: str, organisation: str) -> ka.Right | None:
        """Return the right somebody holds, as their own desk says it."""
        try:
            return self.desk(user).may(organisation).right
        except ka.NotFound:
            return None

    def change(self, kind: type[Entity], id: str, **fields: Any) -> None:
        """Change a record for the office."""
        self.office.put(attrs.evolve(self.office.get(kind, id), **fields))

    def later(self, by: timedelta) -> None:
        """Turn the clock."""
        self.now += by

    def state(self) -> list[dict[str, Any]]:
        """Return everything that gives rights."""
        kinds = (ka.Organisation, ka.Assignment, ka.Grant, ka.Substitution, ka.BreakGlass)
        return [row.to_dict() for kind in kinds for row in self.office.find(kind)]


@pytest.fixture
def world() -> World:
    """Open a closed book."""
    return World()


@pytest.fixture
def private() -> World:
    """Open a closed book where `acme` is private."""
    made = World()
    made.office.people.make_private("acme")
    return made


def refused(world: World, error: type[Exception], call: Callable[..., object], *given: Any, **named: Any) -> str:
    """Check that a call is refused and has written nothing; return the words."""
    before = world.state()
    with pytest.raises(error) as caught:
        call(*given, **named)
    assert world.state() == before
    return str(caught.value)


# ---- assign ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "right"), [(ka.KEY_ACCOUNT_MANAGER, R.ADMINISTER), (ka.DEPUTY, R.CHANGE), (ka.TEAM_MEMBER, R.CHANGE)]
)
def test_assign_gives_the_right_of_the_role_at_once(world: World, role: str, right: ka.Right) -> None:
    """An assignment without dates counts from today on, with what its role gives."""
    row = world.desk("volker").people.assign("max", organisation="acme", role=role, label="north")
    assert (row.valid_from, row.valid_until, row.version, row.label) == (TODAY, None, 1, "north")
    assert world.right("max", "acme") == right
    assert world.right("max", "acme-at") is None


@pytest.mark.parametrize(("given", "right"), [(R.READ, R.READ), (R.CHANGE, R.CHANGE)])
def test_a_policy_maps_roles(given: ka.Right, right: ka.Right) -> None:
    """A role of the policy's own, and the deputy, give what the policy says."""
    world = World(roles={"auditor": given, ka.DEPUTY: given})
    for user, role in (("max", "auditor"), ("hedwig", ka.DEPUTY)):
        world.office.people.assign(user, organisation="acme", role=role)
        assert world.right(user, "acme") == right


def test_a_role_the_policy_does_not_map_is_refused(world: World) -> None:
    """A mistyped role is an error that names the nearest one."""
    told = refused(
        world, ka.ValidationError, lambda: world.office.people.assign("max", organisation="acme", role="team membre")
    )
    assert "team member" in told


def test_an_assignment_counts_on_its_days_only(world: World) -> None:
    """The first and the last day count; the days around do not."""
    world.office.people.assign("max", organisation="acme", from_=TODAY + DAY, until=TODAY + 2 * DAY)
    held = []
    for _ in range(4):
        held.append(world.right("max", "acme") is R.ADMINISTER)
        world.later(DAY)
    assert held == [False, True, True, False]


def test_the_day_is_that_of_the_book(world: World) -> None:
    """In Auckland tomorrow has begun already at noon in Greenwich."""
    book = ka.open(policy=ka.AccessPolicy(default=None), zone="Pacific/Auckland", clock=lambda: NOON)
    office = book.trusted("office")
    office.put(ka.User("max", name="Max"), ka.Organisation("acme", name="ACME"))
    assert office.people.assign("max", organisation="acme").valid_from == TODAY + DAY
    assert book.desk("max").may("acme", R.ADMINISTER)


def test_who_only_changes_an_account_assigns_nobody(world: World) -> None:
    """Assigning needs `ADMINISTER`; a team member is refused, and a stranger learns nothing."""
    world.office.people.assign("max", organisation="acme", role=ka.TEAM_MEMBER)
    refused(world, ka.AccessDenied, lambda: world.desk("max").people.assign("max", organisation="acme"))
    stranger = world.desk("hedwig").people
    hidden, unknown = (
        re.sub(r"'[0-9a-f-]{36}'", "", refused(world, ka.ValidationError, stranger.assign, "hedwig", organisation=id))
        for id in ("acme", "acmx")
    )
    assert hidden == unknown.replace("acmx", "acme")


def test_a_contact_s_manager_changes_the_contact_and_no_account(world: World) -> None:
    """The contact's own key account manager has `CHANGE` on the contact and no right on any organisation."""
    world.put(ka.Contact("erika", name="Erika"), ka.Position(contact_id="erika", organisation_id="acme"))
    world.office.people.assign("max", contact="erika")
    desk = world.desk("max")
    desk.put(attrs.evolve(desk.get(ka.Contact, "erika"), language="de"))
    assert desk.count(ka.Organisation) == desk.count(ka.Position) == 0


# ---- nobody grants more than they hold -------------------------------------------------------------------------------


def test_covering_rights_are_given_only_by_those_who_hold_them(world: World) -> None:
    """The manager of one account covers no subsidiaries, and so lets nobody cover them; a steward does."""
    people = world.desk("volker").people
    refused(
        world,
        ka.AccessDenied,
        lambda: people.grant("acme", principal=ANYBODY, right=R.READ, covers_subsidiaries=True),
    )
    refused(world, ka.AccessDenied, lambda: people.assign("max", organisation="acme", covers_subsidiaries=True))
    world.desk("sam").people.assign("volker", organisation="acme", covers_subsidiaries=True)
    people.grant("acme", principal=ANYBODY, right=R.READ, covers_subsidiaries=True)
    assert world.right("max", "acme-at") is R.READ


@pytest.mark.parametrize(
    "change",
    [{"right": R.ADMINISTER}, {"principal": ka.user("volker")}, {"valid_until": None}, {"valid_from": None}],
    ids=str,
)
def test_a_covering_grant_is_not_widened_by_who_does_not_cover(world: World, change: dict[str, Any]) -> None:
    """A patch of a covering grant is no way around: its right, principal and days stay as they are."""
    world.put(
        ka.Grant("wide", "acme", ANYBODY, R.READ, covers_subsidiaries=True, valid_from=TODAY, valid_until=TODAY + DAY)
    )
    desk = world.desk("volker")
    row = desk.get(ka.Grant, "wide")
    refused(world, ka.AccessDenied, lambda: desk.put(attrs.evolve(row, **change)))


@pytest.mark.parametrize(
    "change", [{"user_id": "volker"}, {"role": ka.KEY_ACCOUNT_MANAGER}, {"valid_until": None}], ids=str
)
def test_a_covering_assignment_is_not_widened_by_who_does_not_cover(world: World, change: dict[str, Any]) -> None:
    """A patch of a covering assignment makes nobody a manager of what they may not administer."""
    wide = ka.Assignment("wide", "max", "acme", role=ka.DEPUTY, covers_subsidiaries=True, valid_until=TODAY + DAY)
    world.put(wide)
    desk = world.desk("volker")
    row = desk.get(ka.Assignment, "wide")
    refused(world, ka.AccessDenied, lambda: desk.put(attrs.evolve(row, **change)))


def test_a_covering_grant_may_be_taken_back_by_the_manager(world: World) -> None:
    """Ending what covers subsidiaries gives nothing to anybody: `ADMINISTER` on the account is enough."""
    world.put(ka.Grant("wide", "acme", ANYBODY, R.READ, covers_subsidiaries=True))
    world.desk("volker").people.revoke("wide")
    assert world.right("max", "acme-at") is None


# ---- grant and revoke ------------------------------------------------------------------------------------------------


def test_grant_and_revoke_count_at_once(world: World) -> None:
    """A grant opens the next call, a revocation shuts the one after, on desks that were open before."""
    desk = world.desk("max")
    row = world.desk("volker").people.grant("acme", principal=ANYBODY, right=R.CHANGE)
    assert (row.valid_from, row.valid_until) == (TODAY, None)
    assert desk.may("acme", R.CHANGE)
    world.desk("volker").people.revoke(row.id)
    assert desk.count(ka.Organisation) == 0
    with pytest.raises(ka.NotFound):
        desk.may("acme")


def test_a_revoked_grant_that_was_in_force_lives_on(world: World) -> None:
    """A grant of last week, revoked today, has yesterday as its last day; one of today or later leaves nothing."""
    old = world.office.people.grant("acme", principal=ANYBODY, right=R.READ, from_=TODAY - 7 * DAY)
    new = world.office.people.grant("acme", principal=ANYBODY, right=R.READ)
    coming = world.office.people.grant("acme", principal=ANYBODY, right=R.READ, from_=TODAY + DAY)
    for row in (old, new, coming):
        world.office.people.revoke(row.id)
    assert [(g.id, g.valid_until) for g in world.office.find(ka.Grant)] == [(old.id, TODAY - DAY)]
    world.office.people.revoke(old.id)
    assert world.office.get(ka.Grant, old.id).version == 2


def test_a_grant_to_a_unit_reaches_members_below_and_no_superior(world: World) -> None:
    """A grant to a unit reaches its members and those of its sub-units, told with the unit they are reached through."""
    units = (ka.Unit("top", name="Top", head_id="sam"), ka.Unit("mid", name="Mid", parent_id="top", head_id="volker"))
    world.put(*units, ka.Unit("low", name="Low", parent_id="mid"))
    world.change(ka.User, "max", unit_ids=("low",))
    world.change(ka.User, "hedwig", unit_ids=("top",))
    world.office.people.grant("other", principal=ka.unit("mid"), right=R.READ)
    assert [world.right(user, "other") for user in ("max", "hedwig", "volker")] == [R.READ, None, None]
    assert world.desk("max").may("other").reasons[0].through == "low"


def test_granting_and_revoking_need_administer(world: World) -> None:
    """Who may change an account can neither grant on it nor revoke."""
    world.office.people.grant("acme", principal=ANYBODY, right=R.CHANGE)
    row = world.office.people.grant("acme", principal=ka.EVERYONE, right=R.READ)
    people = world.desk("max").people
    refused(world, ka.AccessDenied, lambda: people.grant("acme", principal=ANYBODY, right=R.ADMINISTER))
    refused(world, ka.AccessDenied, lambda: people.revoke(row.id))


def test_a_hidden_grant_is_an_unknown_one(world: World) -> None:
    """Revoking, or ending, what cannot be read fails as for what does not exist."""
    row = world.office.people.grant("other", principal=ka.user("hedwig"), right=R.READ)
    people = world.desk("max").people
    for call, id in ((people.revoke, row.id), (people.end_assignment, "lead")):
        told = refused(world, ka.NotFound, call, id)
        assert told == refused(world, ka.NotFound, call, "nowhere").replace("nowhere", id)


# ---- end_assignment --------------------------------------------------------------------------------------------------


def test_ending_at_once_takes_the_right_at_once(world: World) -> None:
    """An assignment ended without a day has yesterday as its last; the manager may end it himself."""
    desk = world.desk("volker")
    desk.people.end_assignment("lead")
    assert world.office.get(ka.Assignment, "lead").valid_until == TODAY - DAY
    assert desk.count(ka.Organisation) == 0


def test_a_planned_end_counts_up_to_its_day(world: World) -> None:
    """With `on` the assignment counts through that day; one that never began is gone."""
    world.office.people.end_assignment("lead", on=TODAY + DAY)
    held = []
    for _ in range(3):
        held.append(world.right("volker", "acme"))
        world.later(DAY)
    assert held == [R.ADMINISTER, R.ADMINISTER, None]
    coming = world.office.people.assign("max", organisation="acme", from_=TODAY + 9 * DAY)
    world.office.people.end_assignment(coming.id, on=TODAY + 8 * DAY)
    with pytest.raises(ka.NotFound):
        world.office.get(ka.Assignment, coming.id)


def test_the_last_manager_of_a_private_account_stays(private: World) -> None:
    """Ending the last assignment of a private account is refused, for the manager and for the office."""
    for desk in (private.desk("volker"), private.office):
        refused(private, ka.ValidationError, desk.people.end_assignment, "lead")
        refused(private, ka.ValidationError, desk.remove, ka.Assignment, "lead")
        row = desk.get(ka.Assignment, "lead")
        refused(private, ka.ValidationError, desk.put, attrs.evolve(row, role=ka.DEPUTY))
        refused(private, ka.ValidationError, desk.put, attrs.evolve(row, valid_from=TODAY + DAY))


def test_a_successor_named_in_the_same_transaction_will_do(private: World) -> None:
    """Whether a private account has a manager is asked when the transaction commits, in whichever order it was done."""
    people = private.desk("volker").people
    with private.desk("volker").transaction():
        private.office.people.end_assignment("lead")
        private.office.people.assign("max", organisation="acme")
    assert [private.right(user, "acme") for user in ("volker", "max")] == [None, R.ADMINISTER]
    refused(private, ka.NotFound, lambda: people.end_assignment("lead"))


def test_a_later_end_on_a_private_account_is_allowed_and_orphans_it(private: World) -> None:
    """A planned end is allowed; once it has passed nobody reads the account, and the office finds it."""
    private.desk("volker").people.end_assignment("lead", on=TODAY)
    assert [o.id for o in private.office.people.orphaned()] == []
    private.later(DAY)
    assert [o.id for o in private.office.people.orphaned()] == ["acme"]
    assert [private.right(user, "acme") for user in PEOPLE] == [None] * len(PEOPLE)
    private.office.people.assign("max", organisation="acme")
    assert [o.id for o in private.office.people.orphaned()] == []
    assert private.right("max", "acme") is R.ADMINISTER


# ---- deputise --------------------------------------------------------------------------------------------------------


def test_a_deputy_changes_on_the_days_of_the_absence(world: World) -> None:
    """Standing in counts on its days, gives at most `CHANGE`, and covers accounts assigned meanwhile."""
    world.desk("volker").people.deputise("max", for_user="volker", until=TODAY + DAY, reason="holiday")
    assert world.right("max", "acme") is R.CHANGE
    world.office.people.assign("volker", organisation="other")
    assert world.right("max", "other") is R.CHANGE
    world.later(DAY)
    assert world.right("max", "acme") is R.CHANGE
    world.later(DAY)
    assert world.right("max", "acme") is None


def test_a_deputy_gets_no_more_than_the_absent_one_has() -> None:
    """A role that gives the absent user `READ` gives the deputy `READ`, and grants to them give nothing."""
    world = World(roles={ka.TEAM_MEMBER: R.READ})
    world.office.people.assign("hedwig", organisation="acme", role=ka.TEAM_MEMBER)
    world.office.people.grant("other", principal=ka.user("hedwig"), right=R.CHANGE)
    world.office.people.deputise("max", for_user="hedwig")
    assert [world.right("max", id) for id in ("acme", "other")] == [R.READ, None]


def test_deputies_do_not_chain(world: World) -> None:
    """Max for Volker and Hedwig for Max does not make Hedwig stand in for Volker."""
    world.office.people.deputise("max", for_user="volker")
    world.office.people.deputise("hedwig", for_user="max")
    assert [world.right(user, "acme") for user in ("max", "hedwig")] == [R.CHANGE, None]


def test_nobody_stands_in_for_the_inactive(world: World) -> None:
    """When the absent user is deactivated, the deputy's right is gone."""
    world.office.people.deputise("max", for_user="volker")
    world.change(ka.User, "volker", active=False)
    assert world.right("max", "acme") is None


@pytest.mark.parametrize(("writer", "allowed"), [("volker", True), ("sam", True), ("max", False), ("hedwig", False)])
def test_who_may_name_a_deputy(world: World, writer: str, *, allowed: bool) -> None:
    """The absent user and stewards name a deputy; the deputy does not name himself, nor does anybody else."""

    def act() -> ka.Substitution:
        return world.desk(writer).people.deputise("max", for_user="volker")

    if allowed:
        assert (act().user_id, world.right("max", "acme")) == ("volker", R.CHANGE)
    else:
        refused(world, ka.AccessDenied, act)


def test_a_substitution_is_not_turned_into_another_s(world: World) -> None:
    """Nobody moves their own substitution to another absent user, or removes one that is not theirs."""
    world.desk("max").people.deputise("hedwig", for_user="max")
    row = world.desk("volker").people.deputise("max", for_user="volker")
    own = world.desk("max").find(ka.Substitution, user_id="max")[0]
    refused(world, ka.AccessDenied, lambda: world.desk("max").put(attrs.evolve(own, user_id="volker")))
    refused(world, ka.AccessDenied, lambda: world.desk("max").remove(ka.Substitution, row.id))
    world.desk("volker").remove(ka.Substitution, row.id)
    assert world.right("max", "acme") is None


@pytest.mark.parametrize(("see", "right"), [(True, R.CHANGE), (False, None)])
def test_deputies_see_private_accounts_only_by_policy(right: ka.Right | None, *, see: bool) -> None:
    """Stand-ins and named deputies see a private account where the policy says so, while it has an active manager."""
    world = World(deputies_see_private=see)
    world.office.people.make_private("acme")
    world.desk("volker").people.deputise("max", for_user="volker")
    world.office.people.assign("hedwig", organisation="acme", role=ka.DEPUTY)
    assert [world.right(user, "acme") for user in ("max", "hedwig")] == [right, right]
    world.change(ka.User, "volker", active=False)
    assert [world.right(user, "acme") for user in ("max", "hedwig")] == [None, None]


def test_where_deputies_see_private_stewards_name_none() -> None:
    """A steward does not get past the glass by making somebody a deputy."""
    world = World(deputies_see_private=True)
    refused(world, ka.AccessDenied, lambda: world.desk("sam").people.deputise("sam", for_user="volker"))


# ---- hand_over -------------------------------------------------------------------------------------------------------


def portfolio(world: World) -> None:
    """Give Volker two more accounts, one of them covering and with a planned end, and promises to keep."""
    world.put(
        ka.Assignment("wide", "volker", "other", covers_subsidiaries=True, valid_until=TODAY + 90 * DAY, label="key"),
        ka.Assignment("over", "volker", "acme-at", valid_until=TODAY - DAY),
        ka.Assignment("team", "volker", "acme-at", role=ka.TEAM_MEMBER),
        ka.Activity("late", organisation_id="acme", subject="call back", follow_up_on=TODAY - DAY),
        ka.Activity("soon", organisation_id="other", subject="offer", follow_up_on=TODAY + DAY),
        ka.Activity("kept", organisation_id="acme", follow_up_on=TODAY, done_at=NOON),
        ka.Activity("elsewhere", organisation_id="acme-at", follow_up_on=TODAY),
    )


def test_a_portfolio_moves_on_the_day(world: World) -> None:
    """Every account moves on the day: until the day before the old manager holds it, from the day on the new one."""
    portfolio(world)
    note = world.office.people.hand_over("volker", "max", on=TODAY + 3 * DAY)
    assert (note.from_user.id, note.to_user.id, note.on) == ("volker", "max", TODAY + 3 * DAY)
    assert set(note.organisation_ids) == {"acme", "other"}
    world.later(2 * DAY)
    assert [world.right(user, "other") for user in ("volker", "max")] == [R.ADMINISTER, None]
    world.later(DAY)
    assert [world.right(user, "other") for user in ("volker", "max")] == [None, R.ADMINISTER]
    assert [world.right(user, "acme-at") for user in ("volker", "max")] == [R.CHANGE, None]


def test_a_handover_keeps_what_was_agreed(world: World) -> None:
    """Covering, the planned end and the label go over to the successor's assignment; other roles stay."""
    portfolio(world)
    note = world.office.people.hand_over("volker", "max")
    made = {a.organisation_id: a for a in note.assignments}
    kept = made["other"]
    assert (kept.covers_subsidiaries, kept.valid_from, kept.valid_until) == (True, TODAY, TODAY + 90 * DAY)
    assert (kept.label, kept.role, made["acme"].covers_subsidiaries) == ("key", ka.KEY_ACCOUNT_MANAGER, False)
    assert world.office.get(ka.Assignment, "wide").valid_until == TODAY - DAY
    assert world.office.get(ka.Assignment, "team").valid_until is None


def test_a_handover_note_tells_the_promises_in_flight(world: World) -> None:
    """The open follow-ups on those accounts, and with contacts handed over, come with the note, by urgency."""
    portfolio(world)
    world.put(ka.Contact("erika", name="Erika"), ka.Assignment(user_id="volker", contact_id="erika"))
    world.put(ka.Activity("private", contact_ids=("erika",), follow_up_on=TODAY))
    note = world.office.people.hand_over("volker", "max")
    assert [row.id for row in note.follow_ups] == ["late", "private", "soon"]
    assert note.contact_ids == ("erika",)


def test_private_accounts_are_handed_over_by_their_manager(private: World) -> None:
    """The manager hands a private account over at once and never leaves it alone; a steward hands over what he sees."""
    private.office.people.assign("volker", organisation="other")
    assert private.desk("sam").people.hand_over("volker", "hedwig").organisation_ids == ("other",)
    assert private.right("volker", "acme") is R.ADMINISTER
    assert private.desk("volker").people.hand_over("volker", "max").organisation_ids == ("acme",)
    assert [private.right(user, "acme") for user in ("volker", "max", "sam")] == [None, R.ADMINISTER, None]
    assert [o.id for o in private.office.people.orphaned()] == []


def test_a_private_account_is_not_handed_to_the_inactive(private: World) -> None:
    """A successor without a desk manages nothing: the private account would be orphaned."""
    private.change(ka.User, "max", active=False)
    refused(private, ka.ValidationError, lambda: private.office.people.hand_over("volker", "max"))


def test_no_account_is_handed_to_the_inactive(world: World) -> None:
    """An open account is not left to somebody whose assignments count for nothing either."""
    world.change(ka.User, "max", active=False)
    before = world.state()
    with pytest.raises(ka.ValidationError, match="is not active"):
        world.office.people.hand_over("volker", "max")
    assert world.state() == before


def test_a_handover_note_tells_all_that_is_in_flight(world: World) -> None:
    """Renewals worked on, open opportunities and overdue invoices come with the note, the most urgent first."""
    portfolio(world)
    ends = TODAY + 20 * DAY
    world.put(
        *(
            ka.Contract(f"c-{at}", at, signed_on=TODAY, starts_on=TODAY, ends_on=ends + plus * DAY)
            for at, plus in (("acme", 9), ("other", 0), ("acme-at", 0))
        ),
        *(
            ka.Opportunity(f"o-{at}", at, expected_on=TODAY + plus * DAY)
            for at, plus in (("acme", 9), ("other", 0), ("acme-at", 0))
        ),
        ka.Opportunity("won", "acme", state="won", closed_on=TODAY),
        *(
            ka.Invoice(f"i-{at}", at, issued_on=TODAY - 90 * DAY, due_on=TODAY - plus * DAY, net=ka.Money(10, "EUR"))
            for at, plus in (("acme", 1), ("other", 2), ("acme-at", 3))
        ),
        ka.Invoice("today", "acme", issued_on=TODAY - 90 * DAY, due_on=TODAY, net=ka.Money(10, "EUR")),
        ka.Invoice("credit", "acme", kind="credit note", issued_on=TODAY - 90 * DAY, net=ka.Money(10, "EUR")),
    )
    world.office.renewals.raise_alerts()
    note = world.office.people.hand_over("volker", "max")
    assert [row.contract_id for row in note.renewals] == ["c-other", "c-acme"]
    assert [row.id for row in note.opportunities] == ["o-other", "o-acme"]
    assert [row.id for row in note.overdue] == ["i-other", "i-acme"]


def test_a_private_account_is_handed_over_with_what_is_in_flight(private: World) -> None:
    """Its manager, who cannot read it any more the moment after, is told what was under way."""
    private.put(ka.Activity("late", organisation_id="acme", subject="call back", follow_up_on=TODAY - DAY))
    note = private.desk("volker").people.hand_over("volker", "max")
    assert [row.id for row in note.follow_ups] == ["late"]
    assert private.right("volker", "acme") is None


def test_nothing_to_hand_over_gives_an_empty_note(world: World) -> None:
    """Somebody without accounts hands over nothing, and nothing is written."""
    before = world.state()
    note = world.office.people.hand_over("hedwig", "max")
    assert (note.organisation_ids, note.contact_ids, note.assignments, note.follow_ups) == ((), (), (), ())
    assert world.state() == before


def test_handing_over_needs_administer_on_each(world: World) -> None:
    """Where one of the accounts may only be changed, nothing of the portfolio moves."""
    portfolio(world)
    world.office.people.grant("acme", principal=ANYBODY, right=R.ADMINISTER)
    world.office.people.grant("other", principal=ANYBODY, right=R.CHANGE)
    refused(world, ka.AccessDenied, lambda: world.desk("max").people.hand_over("volker", "max"))


def test_a_covering_portfolio_is_not_taken_by_who_does_not_cover(world: World) -> None:
    """Handing over gives the successor no subsidiaries that whoever does it does not administer."""
    world.put(ka.Assignment("wide", "hedwig", "acme", covers_subsidiaries=True))
    refused(world, ka.AccessDenied, lambda: world.desk("volker").people.hand_over("hedwig", "volker"))


def test_a_refused_handover_leaves_an_open_transaction_as_it_was(world: World) -> None:
    """What was written in the transaction before stays, and nothing of the handover does."""
    portfolio(world)
    world.office.people.grant("acme", principal=ANYBODY, right=R.ADMINISTER)
    world.office.people.grant("other", principal=ANYBODY, right=R.CHANGE)
    desk = world.desk("max")
    with desk.transaction():
        desk.put(attrs.evolve(desk.get(ka.Organisation, "other"), sector="steel"))
        refused(world, ka.AccessDenied, lambda: desk.people.hand_over("volker", "max"))
    assert world.office.get(ka.Organisation, "other").sector == "steel"


@pytest.mark.parametrize(
    ("pair", "error"), [(("volker", "x"), ka.NotFound), (("volker", "volker"), ka.ValidationError)]
)
def test_a_handover_is_between_two_users(world: World, pair: tuple[str, str], error: type[Exception]) -> None:
    """An unknown user, or twice the same, is refused."""
    refused(world, error, lambda: world.office.people.hand_over(*pair))


# ---- private ---------------------------------------------------------------------------------------------------------


def test_making_private_leaves_the_manager_alone(world: World) -> None:
    """No grant, steward, oversight, default or covering assignment counts on a private account."""
    world = World(default=R.READ, oversight=R.CHANGE)
    world.put(ka.Unit("sales", name="Sales", head_id="hedwig"))
    world.change(ka.User, "volker", unit_ids=("sales",))
    world.change(ka.Organisation, "acme", parent_id="other")
    world.office.people.assign("max", organisation="other", covers_subsidiaries=True)
    world.office.people.grant("acme", principal=ka.EVERYONE, right=R.ADMINISTER)
    assert all(world.right(user, "acme") for user in PEOPLE)
    assert world.desk("volker").people.make_private("acme").private
    assert [world.right(user, "acme") for user in PEOPLE] == [R.ADMINISTER, None, None, None]
    assert world.right("max", "acme-at") is R.ADMINISTER


def test_opening_up_brings_everything_back(private: World) -> None:
    """Only the manager opens an account again; what counted before counts again."""
    private.put(ka.Grant("g", "acme", ANYBODY, R.ADMINISTER))
    for user in ("max", "sam"):
        refused(private, ka.NotFound, private.desk(user).people.open_up, "acme")
    assert not private.desk("volker").people.open_up("acme").private
    assert [private.right(user, "acme") for user in PEOPLE] == [R.ADMINISTER, None, R.ADMINISTER, R.ADMINISTER]


def test_shielding_needs_administer(world: World) -> None:
    """Who may only change an account neither makes it private nor opens it, by call or by a put."""
    world.office.people.grant("acme", principal=ANYBODY, right=R.CHANGE)
    desk = world.desk("max")
    refused(world, ka.AccessDenied, lambda: desk.people.make_private("acme"))
    row = desk.get(ka.Organisation, "acme")
    refused(world, ka.AccessDenied, lambda: desk.put(attrs.evolve(row, private=True)))


@pytest.mark.parametrize("why", ["nobody", "inactive", "lapsed", "to come", "covering"])
def test_no_account_is_made_private_without_a_manager_in_force(world: World, why: str) -> None:
    """A manager who left, is not there yet, or covers from above, is no manager of a private account."""
    span = {"lapsed": {"valid_until": TODAY - DAY}, "to come": {"valid_from": TODAY + DAY}}.get(why, {})
    world.change(ka.User, "hedwig", active=why != "inactive")
    if why == "covering":
        world.put(ka.Assignment(user_id="hedwig", organisation_id="acme", covers_subsidiaries=True))
    elif why != "nobody":
        world.put(ka.Assignment(user_id="hedwig", organisation_id="acme-at", **span))  # type: ignore[arg-type]
    refused(world, ka.ValidationError, lambda: world.office.people.make_private("acme-at"))


def test_an_orphan_is_read_by_nobody_and_listed(private: World) -> None:
    """When its manager is deactivated or removed a private account becomes nobody's, never everybody's."""
    private.change(ka.User, "volker", active=False)
    assert [o.id for o in private.office.people.orphaned()] == ["acme"]
    assert len(private.office.people.who_may_read("acme")) == 0
    private.change(ka.User, "volker", active=True)
    assert [o.id for o in private.office.people.orphaned()] == []
    private.office.remove(ka.User, "volker")
    assert [o.id for o in private.office.people.orphaned()] == ["acme"]
    assert private.office.get(ka.Organisation, "acme").private


def test_bound_desks_are_not_told_of_orphans(private: World) -> None:
    """`orphaned` and `who_may_read` are the trusted side's questions, a steward's desk included."""
    for user in ("sam", "volker"):
        people = private.desk(user).people
        refused(private, ka.AccessDenied, people.orphaned)
        refused(private, ka.AccessDenied, people.who_may_read, "acme")


# ---- break-glass -----------------------------------------------------------------------------------------------------


def test_a_steward_reads_for_the_minutes_stated(private: World) -> None:
    """Broken glass gives that steward `READ`, from now up to its closing moment, and not at it."""
    row = private.desk("sam").people.break_glass("acme", reason="insolvency", minutes=30)
    assert (row.opens_at, row.closes_at) == (NOON, NOON + timedelta(minutes=30))
    assert private.right("sam", "acme") is R.READ
    private.later(timedelta(minutes=30, microseconds=-1))
    assert private.right("sam", "acme") is R.READ
    private.later(timedelta(microseconds=1))
    assert private.right("sam", "acme") is None


def test_it_is_an_hour_unless_told_otherwise(private: World) -> None:
    """Without minutes the glass closes after an hour."""
    row = private.desk("sam").people.break_glass("acme", reason="insolvency")
    assert row.closes_at == NOON + timedelta(hours=1)


def test_only_stewards_break_glass(private: World) -> None:
    """Neither the manager, nor others, nor a trusted desk (which is nobody) break glass, whatever the id."""
    for desk in (private.desk("volker"), private.desk("max"), private.office):
        for id in ("acme", "nowhere"):
            refused(private, ka.AccessDenied, desk.people.break_glass, id, reason="curious")


def test_broken_glass_is_for_one_steward_and_for_reading() -> None:
    """Another steward still reads nothing, and the one who broke it changes nothing."""
    world = World(stewards={"sam", "hedwig"})
    world.office.people.make_private("acme")
    desk = world.desk("sam")
    desk.people.break_glass("acme", reason="insolvency")
    assert world.right("hedwig", "acme") is None
    row = desk.get(ka.Organisation, "acme")
    refused(world, ka.AccessDenied, lambda: desk.put(attrs.evolve(row, sector="steel")))
    refused(world, ka.AccessDenied, lambda: desk.people.assign("sam", organisation="acme"))
    refused(world, ka.AccessDenied, lambda: desk.people.open_up("acme"))


def test_breaking_glass_is_committed_before_the_first_read(private: World) -> None:
    """The row is there when the call returns; inside a transaction the call is refused, for it could be undone."""
    desk = private.desk("sam")
    with desk.transaction():
        refused(private, ka.AccessDenied, lambda: desk.people.break_glass("acme", reason="insolvency"))
    desk.people.break_glass("acme", reason="insolvency")
    assert [(g.user_id, g.reason) for g in private.office.find(ka.BreakGlass)] == [("sam", "insolvency")]


def test_a_wrong_id_is_not_found(private: World) -> None:
    """A steward who errs in the id gets NotFound; an account that is open needs no breaking."""
    desk = private.desk("sam")
    refused(private, ka.NotFound, lambda: desk.people.break_glass("nowhere", reason="insolvency"))
    refused(private, ka.ValidationError, lambda: desk.people.break_glass("other", reason="insolvency"))


@pytest.mark.parametrize("minutes", [0, -1, 10**9, True, 1.5, "60", None], ids=repr)
def test_the_time_is_limited(private: World, minutes: Any) -> None:
    """The minutes are a whole number, more than none and no more than a week."""
    people = private.desk("sam").people
    refused(private, ka.ValidationError, lambda: people.break_glass("acme", reason="insolvency", minutes=minutes))


def test_a_reason_is_stated(private: World) -> None:
    """Without a reason no glass is broken."""
    refused(private, ka.ValidationError, lambda: private.desk("sam").people.break_glass("acme", reason=""))


def test_blanks_are_no_reason(private: World) -> None:
    """Blanks state no reason."""
    refused(private, ka.ValidationError, lambda: private.desk("sam").people.break_glass("acme", reason="   "))


def test_the_manager_sees_that_it_was_broken(private: World) -> None:
    """While it is open the account's card and notes warn, and the row stays to be read afterwards; nobody undoes it."""
    row = private.desk("sam").people.break_glass("acme", reason="insolvency")
    desk = private.desk("volker")
    texts = [note.text for note in desk.notes(organisation="acme", context="crm")]
    assert any("Sam" in text and "insolvency" in text for text in texts)
    assert [g.id for g in desk.find(ka.BreakGlass)] == [row.id]
    for user in ("sam", "volker"):
        refused(private, ka.AccessDenied, private.desk(user).remove, ka.BreakGlass, row.id)
        longer = attrs.evolve(row, closes_at=NOON + 9 * DAY)
        refused(private, ka.AccessDenied, private.desk(user).put, longer)


def test_broken_glass_ends_with_the_steward_s_appointment(private: World) -> None:
    """Under a policy that no longer names the steward the open glass counts for nothing."""
    private.desk("sam").people.break_glass("acme", reason="insolvency")
    private.book.policy = ka.AccessPolicy(default=None)
    assert private.right("sam", "acme") is None


# ---- the auditor, the user's own accounts, the host's ids ------------------------------------------------------------


def test_the_auditor_hears_every_reader_with_reasons() -> None:
    """Every active user who may read is told, by id, with each reason: assignment, substitution, oversight, grant."""
    world = World(oversight=R.READ)
    world.put(ka.Unit("sales", name="Sales", head_id="hedwig"), ka.Unit("north", name="North", parent_id="sales"))
    world.change(ka.User, "volker", unit_ids=("north",))
    world.put(ka.User("olga", name="Olga"), ka.User("gone", name="Gone", active=False))
    world.office.people.deputise("max", for_user="volker")
    world.office.people.grant("acme", principal=ka.user("gone"), right=R.READ)
    found = {d.user_id: [r.kind for r in d.reasons] for d in world.office.people.who_may_read("acme")}
    assert found == {"hedwig": ["oversight"], "max": ["substitution"], "sam": ["steward"], "volker": ["assignment"]}
    refused(world, ka.NotFound, lambda: world.office.people.who_may_read("nowhere"))


def test_the_auditor_asks_about_another_day() -> None:
    """Who could read on a day follows the dates, both ends included, and says what has none and counts as it is now."""
    world = World()
    world.put(ka.User("olga", name="Olga"))
    world.office.people.grant("acme", principal=ka.user("olga"), right=R.READ, from_=TODAY - 9 * DAY, until=TODAY - DAY)
    world.office.people.deputise("max", for_user="volker", from_=TODAY + DAY, until=TODAY + 2 * DAY)

    def who(on: date | None = None) -> list[str | None]:
        return [decision.user_id for decision in world.office.people.who_may_read("acme", on=on)]

    assert who() == who(TODAY) == ["sam", "volker"]
    assert who(TODAY - DAY) == who(TODAY - 9 * DAY) == ["olga", "sam", "volker"]
    assert who(TODAY - 10 * DAY) == ["sam", "volker"]
    assert who(TODAY + DAY) == who(TODAY + 2 * DAY) == ["max", "sam", "volker"]
    assert who(TODAY + 3 * DAY) == ["sam", "volker"]
    assert world.office.people.who_may_read("acme").remarks == ()
    assert "count as they are now" in world.office.people.who_may_read("acme", on=TODAY - DAY).remarks[0]
    for user in ("volker", "sam"):
        with pytest.raises(ka.AccessDenied):
            world.desk(user).people.who_may_read("acme", on=TODAY - DAY)


def test_the_auditor_sees_the_broken_glass_of_a_day(private: World) -> None:
    """A glass that was open for an hour names its steward on that day, and on no other."""
    private.desk("sam").people.break_glass("acme", reason="insolvency")
    private.later(5 * DAY)

    def who(on: date) -> list[tuple[str | None, str]]:
        found = private.office.people.who_may_read("acme", on=on)
        return [(decision.user_id, reason.kind) for decision in found for reason in decision.reasons]

    assert who(TODAY) == [("sam", "break-glass"), ("volker", "assignment")]
    assert who(TODAY - DAY) == who(TODAY + DAY) == [("volker", "assignment")]


def test_mine_are_the_accounts_managed_and_deputised_for(world: World) -> None:
    """Managed, covered, deputised and stood in for, by name; a team membership and a grant are not mine."""
    world.put(ka.Organisation("zeta", name="Zeta"), ka.Organisation("beta", name="Beta"))
    people = world.office.people
    people.assign("max", organisation="acme", covers_subsidiaries=True)
    people.assign("max", organisation="beta", role=ka.DEPUTY)
    people.assign("max", organisation="zeta", role=ka.TEAM_MEMBER)
    people.grant("zeta", principal=ANYBODY, right=R.ADMINISTER)
    people.assign("hedwig", organisation="other")
    desk = world.desk("max")
    assert [o.id for o in desk.mine()] == ["acme", "acme-at", "beta"]
    people.deputise("max", for_user="hedwig")
    assert [o.id for o in desk.mine()] == ["acme", "acme-at", "beta", "other"]
    refused(world, ka.AccessDenied, world.office.mine)


def test_mine_leaves_out_what_is_over_or_shielded(world: World) -> None:
    """An assignment that has ended is not mine, nor a private account that mine merely covers."""
    people = world.office.people
    people.assign("hedwig", organisation="acme-at")
    people.make_private("acme-at")
    people.assign("max", organisation="acme", covers_subsidiaries=True)
    people.assign("max", organisation="other", until=TODAY - DAY, from_=TODAY - DAY)
    assert [o.id for o in world.desk("max").mine()] == ["acme"]


def test_readable_ids_keep_the_host_s_order(world: World) -> None:
    """Ids come back in the order given, as often as given; hidden and unknown ones alike do not."""
    people = world.office.people
    for id in ("acme", "other"):
        people.grant(id, principal=ANYBODY, right=R.READ)
    asked = ["other", "acme-at", "acme", "nowhere", "other", ""]
    desk = world.desk("max")
    assert desk.readable_ids(asked) == ["other", "acme", "other"]
    assert desk.readable_ids(iter(asked)) == desk.readable_ids(tuple(asked))
    assert desk.readable_ids([]) == []
    for wrong in ("acme", [1], None, 3):
        refused(world, ka.ValidationError, desk.readable_ids, wrong)


def test_an_open_desk_of_a_deactivated_user_is_shut(world: World) -> None:
    """The next call, the next page and the next write of an open desk are refused."""
    world.office.put_many(ka.Organisation(f"n{n:04}", name=f"N {n}") for n in range(600))
    world.put(*(ka.Grant(organisation_id=f"n{n:04}", principal=ANYBODY, right=R.CHANGE) for n in range(600)))
    desk = world.desk("max")
    found = desk.find(ka.Organisation)
    rows = iter(found)
    first = next(rows)
    world.change(ka.User, "max", active=False)
    with pytest.raises(ka.AccessDenied):
        list(rows)
    calls: tuple[Callable[[], object], ...] = (
        lambda: desk.may("n0000"),
        lambda: desk.readable_ids(["n0000"]),
        lambda: desk.put(attrs.evolve(first, sector="steel")),
        lambda: desk.search("N"),
        lambda: len(found),
        desk.mine,
    )
    for call in calls:
        refused(world, ka.AccessDenied, call)
    refused(world, ka.NotFound, lambda: world.desk("max"))


def test_a_new_parent_needs_administer_on_all_three(world: World) -> None:
    """Changing the parent needs `ADMINISTER` on the account, on the old parent and on the new one."""
    needed = ("acme-at", "acme", "other")
    for missing in needed:
        made = World()
        for id in needed:
            right = R.CHANGE if id == missing else R.ADMINISTER
            made.office.people.grant(id, principal=ANYBODY, right=right)
        desk = made.desk("max")
        row = desk.get(ka.Organisation, "acme-at")
        refused(made, ka.AccessDenied, desk.put, attrs.evolve(row, parent_id="other"))
        if missing != "other":
            refused(made, ka.AccessDenied, desk.put, attrs.evolve(row, parent_id=None))
    for id in needed:
        world.office.people.grant(id, principal=ANYBODY, right=R.ADMINISTER)
    desk = world.desk("max")
    moved = desk.put(attrs.evolve(desk.get(ka.Organisation, "acme-at"), parent_id="other"))
    assert moved.parent_id == "other"


def test_a_hidden_parent_is_an_unknown_one(world: World) -> None:
    """Naming a parent that cannot be read fails as for one that does not exist."""
    world.office.people.grant("other", principal=ANYBODY, right=R.ADMINISTER)
    desk = world.desk("max")
    row = desk.get(ka.Organisation, "other")
    told = refused(world, ka.ValidationError, desk.put, attrs.evolve(row, parent_id="acme"))
    assert told == refused(world, ka.ValidationError, desk.put, attrs.evolve(row, parent_id="acmx")).replace(
        "acmx", "acme"
    )


def test_a_masked_parent_stays(world: World) -> None:
    """A parent that is masked is kept by a patch of something else."""
    world.office.people.grant("acme-at", principal=ANYBODY, right=R.ADMINISTER)
    desk = world.desk("max")
    row = desk.get(ka.Organisation, "acme-at")
    assert row.parent_id is None
    desk.put(attrs.evolve(row, sector="steel"))
    assert world.office.get(ka.Organisation, "acme-at").parent_id == "acme"


@pytest.mark.parametrize("parent", ["nowhere", "other"])
def test_a_masked_parent_is_not_found_out(world: World, parent: str) -> None:
    """Naming a parent goes alike for an account under a hidden parent and for one under none."""
    answers = []
    for under in ("acme", None):
        world = World()
        world.change(ka.Organisation, "acme-at", parent_id=under)
        for id in ("acme-at", "other"):
            world.office.people.grant(id, principal=ANYBODY, right=R.ADMINISTER)
        desk = world.desk("max")
        try:
            answers.append(desk.put(attrs.evolve(desk.get(ka.Organisation, "acme-at"), parent_id=parent)).parent_id)
        except ka.KeyAccountError as error:
            answers.append(str(error))
    assert answers[0] == answers[1]


def test_a_guess_of_a_masked_reference_is_refused_as_any_other(world: World) -> None:
    """Who may not change a record is told so, whether or not the reference they name is the one that is masked."""
    world.office.people.grant("acme-at", principal=ANYBODY, right=R.READ)
    desk = world.desk("max")
    row = desk.get(ka.Organisation, "acme-at")
    right, wrong = (attrs.evolve(row, parent_id=parent) for parent in ("acme", "nowhere"))
    told = [refused(world, ka.AccessDenied, desk.put, guess) for guess in (right, wrong)]
    assert told[0] == told[1]


def test_creating_makes_the_creator_the_manager() -> None:
    """Whoever creates an account manages it, unless another is named; a policy may keep creating for stewards."""
    world = World()
    world.desk("max").put(ka.Organisation("new", name="New"))
    assert [world.right(user, "new") for user in ("max", "hedwig")] == [R.ADMINISTER, None]
    world.desk("max").put(ka.Organisation("hers", name="Hers"), ka.Assignment(user_id="hedwig", organisation_id="hers"))
    assert [world.right(user, "hers") for user in ("max", "hedwig")] == [None, R.ADMINISTER]
    closed = World(may_create=False)
    refused(closed, ka.AccessDenied, lambda: closed.desk("max").put(ka.Organisation("new", name="New")))


# ---- their side ------------------------------------------------------------------------------------------------------


def test_vacant_roles_are_told_for_readable_customers(world: World) -> None:
    """A required role that nobody holds on the day is told for each customer that is read; suppliers need none."""
    world.put(ka.ContactRole("dpo", name="DPO", required=True), ka.Contact("erika", name="Erika"))
    world.change(ka.Organisation, "other", relationships=("supplier",))
    world.put(
        ka.Position(contact_id="erika", organisation_id="acme", role="dpo", valid_until=TODAY),
    )
    vacant = world.office.people.vacant_roles
    assert [(v.organisation.id, v.role.id) for v in vacant()] == [("acme-at", "dpo")]
    assert [v.organisation.id for v in vacant(on=TODAY + DAY)] == ["acme", "acme-at"]
    assert [v.organisation.id for v in world.desk("volker").people.vacant_roles(on=TODAY + DAY)] == ["acme"]
    assert len(world.desk("max").people.vacant_roles()) == 0
    world.put(
        ka.Organisation("unsaid", name="aaa", relationships=()),
        ka.Organisation("s", name="S", relationships=("supplier",)),
    )
    assert [v.organisation.id for v in vacant()] == ["unsaid", "acme-at"], "who does not say what it is is a customer"


HOSTILE = 'x"]; click n0 "javascript:alert(1)" %%{init: {}}%% <script>alert(1)</script> `a` #quot; --> [[n1]] & {{b}}'


def test_a_chart_shows_superiors_first_and_vips_with_a_star(world: World) -> None:
    """People stand under whom they report to on the day, by name; whose superior has left stands at the top."""
    names = {"boss": "Zoe", "anna": "Anna", "ben": "Ben", "carl": "Carl"}
    world.put(*(ka.Contact(id, name=name, vip=id == "boss") for id, name in names.items()))
    jobs = {"boss": None, "anna": "boss", "ben": "boss", "carl": "anna"}
    world.put(
        *(
            ka.Position(id, id, "acme", reports_to_id=above, valid_until=TODAY if id == "anna" else None)
            for id, above in jobs.items()
        )
    )
    chart = world.desk("volker").people.org_chart("acme")
    assert [(n.name, n.depth, n.reports_to_id) for n in chart] == [
        ("Zoe", 0, None),
        ("Anna", 1, "boss"),
        ("Carl", 2, "anna"),
        ("Ben", 1, "boss"),
    ]
    assert 'n0["Zoe ★"]' in chart.mermaid()
    assert "n0 --> n1" in chart.mermaid()
    tomorrow = world.desk("volker").people.org_chart("acme", on=TODAY + DAY)
    assert [(n.name, n.depth) for n in tomorrow] == [("Carl", 0), ("Zoe", 0), ("Ben", 1)]
    refused(world, ka.NotFound, lambda: world.desk("max").people.org_chart("acme"))


def test_hostile_names_are_inert_in_a_chart(world: World) -> None:
    """Whatever a name, title or role says, each line of the drawing is one plain node or one arrow."""
    world.put(ka.Contact("evil", name=HOSTILE), ka.Contact("under", name="\u202eUnder"))
    world.put(ka.Position("p1", "evil", "acme", title=HOSTILE), ka.Position("p2", "under", "acme", reports_to_id="p1"))
    lines = world.desk("volker").people.org_chart("acme").mermaid().splitlines()
    word = r"(?:[\w .★-]|#\d+;)+"
    nodes = [line for line in lines if re.fullmatch(rf'    n\d+\["{word}(?:<br/>{word})*"\]', line)]
    assert (lines[0], len(nodes), lines[-1], len(lines)) == ("flowchart TD", 2, "    n0 --> n1", 4)


def test_a_handover_on_the_first_of_all_days(world: World) -> None:
    """A handover on the very first day is answered or refused like any other."""
    refused(world, ka.KeyAccountError, lambda: world.office.people.hand_over("volker", "max", on=date.min))
