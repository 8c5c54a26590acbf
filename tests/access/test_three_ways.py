"""The rule decided in three ways: by the library, by a tiny model of the specification, by Cedar. They never differ.

`python -m access.test_three_ways` (with `src` and `tests` on the path) compares and tells the first difference; the
mutants at the end show that it finds one where the rule is wrong.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

import keyaccount as ka
from access import cedar, organograms, tiny_model
from access.tiny_model import Company
from keyaccount import access
from keyaccount.model.entity import Entity

DECISIONS = 50_000
DECISIVE = 500
BOOKS = 40
KINDS = (
    "default",
    "steward",
    tiny_model.MANAGER,
    tiny_model.DEPUTY,
    tiny_model.TEAM,
    "grant to user",
    "grant to unit",
    "grant to everyone",
    "covering assignment",
    "covering grant",
    "substitution",
    "oversight",
    "break-glass",
    "private manager",
    "deputy on private",
)
CAUGHT, ALIKE = 3, 0


# ---- the library -------------------------------------------------------------------------------------------------


def policy(company: Company) -> access.AccessPolicy:
    """Write a company's policy for the library."""
    told = company.policy
    return access.AccessPolicy(
        default=None if told.default is None else ka.Right(told.default),
        roles={role: ka.Right(right) for role, right in told.roles.items()},
        oversight=None if told.oversight is None else ka.Right(told.oversight),
        stewards=told.stewards,
        deputies_see_private=told.deputies_see_private,
    )


def units(company: Company) -> tuple[ka.Unit, ...]:
    """Write a company's units for the library."""
    return tuple(ka.Unit(u.id, name=f"Unit {u.id}", parent_id=u.parent, head_id=u.head) for u in company.units)


def users(company: Company) -> tuple[ka.User, ...]:
    """Write a company's users for the library."""
    return tuple(ka.User(u.id, name=f"User {u.id}", unit_ids=u.units, active=u.active) for u in company.users)


def organisations(company: Company) -> tuple[ka.Organisation, ...]:
    """Write a company's accounts for the library."""
    return tuple(
        ka.Organisation(o.id, name=f"Account {o.id}", parent_id=o.parent, private=o.private)
        for o in company.organisations
    )


def substitutions(company: Company) -> tuple[ka.Substitution, ...]:
    """Write who stands in for whom for the library."""
    return tuple(
        ka.Substitution(user_id=s.absent, deputy_id=s.deputy, valid_from=s.span.start, valid_until=s.span.end)
        for s in company.substitutions
    )


def claimed(company: Company) -> tuple[ka.Assignment | ka.Grant | ka.BreakGlass, ...]:
    """Write everything that gives a right for the library."""
    return (*_assignments(company), *_grants(company), *_glasses(company))


def _assignments(company: Company) -> Iterator[ka.Assignment]:
    for a in company.assignments:
        yield ka.Assignment(
            user_id=a.user,
            organisation_id=a.organisation,
            role=a.role,
            covers_subsidiaries=a.covers,
            valid_from=a.span.start,
            valid_until=a.span.end,
        )


def _grants(company: Company) -> Iterator[ka.Grant]:
    for g in company.grants:
        yield ka.Grant(
            organisation_id=g.organisation,
            principal=ka.EVERYONE if g.principal is None else {"user": ka.user, "unit": ka.unit}[g.kind](g.principal),
            right=ka.Right(g.right),
            covers_subsidiaries=g.covers,
            valid_from=g.span.start,
            valid_until=g.span.end,
        )


def _glasses(company: Company) -> Iterator[ka.BreakGlass]:
    for g in company.glasses:
        yield ka.BreakGlass(
            user_id=g.user, organisation_id=g.organisation, reason="a test", opens_at=g.opens, closes_at=g.closes
        )


class Decider:
    """The library's rule over the claims of one company."""

    def __init__(self, company: Company) -> None:
        """Resolve every active user once."""
        self._parents = {o.id: o.parent for o in company.organisations}
        self._organisations = {o.id: o for o in organisations(company)}
        inactive = {u.id for u in company.users if not u.active}
        self._claims = list(access.claims(claimed(company), inactive=inactive))
        self._readers = {u.id: _reader(company, u) for u in users(company) if u.active}

    def decide(self, user: str, organisation: str, right: int) -> bool:
        """Decide; a user who is not active has no desk to ask at."""
        if user not in self._readers:
            return False
        line = set(self._line(organisation))
        claims = [claim for claim in self._claims if claim.organisation_id in line]
        account = self._organisations[organisation]
        decided = bool(access.decide(self._readers[user], account, claims, right=ka.Right(right)))
        quick = access.holds(self._readers[user], account, claims, ka.Right(right))
        assert decided is quick, f"{user} {organisation}: decide says {decided}, holds {quick}"
        return decided

    def _line(self, organisation: str) -> Iterator[str]:
        at: str | None = organisation
        while at is not None:
            yield at
            at = self._parents[at]


def _reader(company: Company, user: ka.User) -> access.Reader:
    everybody = users(company)
    return access.reader(
        user,
        units(company),
        policy(company),
        company.now,
        substitutions=substitutions(company),
        absent=everybody,
        oversees=[other for other in everybody if _heads_above(company, user.id, other)],
    )


def _heads_above(company: Company, head: str, other: ka.User) -> bool:
    above = {u.id: u for u in company.units}
    level = set(other.unit_ids)
    while level:
        if any(above[id].head == head for id in level):
            return True
        level = {parent for id in level if (parent := above[id].parent) is not None}
    return False


def book(company: Company, clock: Callable[[], datetime] | None = None) -> ka.Book:
    """Write a company into a real book; private accounts nobody manages lost their manager when the user left."""
    made = ka.open(policy=policy(company), zone=company.zone, clock=clock or (lambda: company.now.astimezone(UTC)))
    office = made.trusted("office")
    private = [o.id for o in company.organisations if o.private]
    records: list[Entity] = [*units(company), *users(company), *organisations(company), *substitutions(company)]
    keepers = [ka.Assignment(user_id="leaver", organisation_id=id) for id in private]
    office.put(ka.User("leaver", name="Leaver"), *records, *claimed(company), *keepers)
    office.remove(ka.User, "leaver")
    return made


# ---- the comparison -----------------------------------------------------------------------------------------------


def difference(company: Company, seen: Counter[str] | None = None) -> str | None:
    """Decide everything about a company in three ways and say where they first differ; count what was decisive."""
    asked = organograms.questions(company)
    library = Decider(company)
    for (user, organisation, right), by_cedar in zip(asked, cedar.allowed(company, asked), strict=True):
        suffices = [kind for kind, given in tiny_model.reasons(company, user, organisation) if given >= right]
        answers = {"model": bool(suffices), "cedar": by_cedar, "library": library.decide(user, organisation, right)}
        if len(set(answers.values())) > 1:
            return f"{user} {ka.Right(right).name} {organisation}: {answers}, {suffices} of the model would do"
        if seen is not None:
            _note(seen, suffices)
    return None


def _note(seen: Counter[str], suffices: list[str]) -> None:
    seen["asked"] += 1
    seen["allowed"] += bool(suffices)
    if len(suffices) == 1:
        seen[suffices[0]] += 1


def first_difference(seeds: Iterable[int]) -> str | None:
    """Compare companies until two ways differ."""
    return next((f"seed {s}: {told}" for s in seeds if (told := difference(organograms.company(s)))), None)


def test_three_ways_agree() -> None:
    """Fifty thousand random decisions are the same in the library, the model and Cedar, and every reason matters."""
    seen: Counter[str] = Counter()
    seed = 0
    while seen["asked"] < DECISIONS:
        assert difference(organograms.company(seed), seen) is None, f"seed {seed}"
        seed += 1
    assert seen["allowed"] >= DECISIONS / 4
    assert {kind: seen[kind] for kind in KINDS if seen[kind] < DECISIVE} == {}


@pytest.mark.parametrize("seed", range(BOOKS))
def test_a_real_book_decides_alike(seed: int) -> None:
    """Through a book, `may`, `find` and having a desk at all answer as the model does."""
    company = organograms.company(seed)
    with book(company) as made:
        for user in company.users:
            if user.active:
                _compare_desk(company, made.desk(user.id))
            else:
                with pytest.raises(ka.NotFound):
                    made.desk(user.id)


def _compare_desk(company: Company, desk: ka.Desk) -> None:
    assert desk.user_id is not None
    rights = {o.id: tiny_model.right(company, desk.user_id, o.id) for o in company.organisations}
    assert {o.id for o in desk.find(ka.Organisation)} == {id for id, right in rights.items() if right}
    for id, held in rights.items():
        if not held:
            with pytest.raises(ka.NotFound):
                desk.may(id)
            continue
        for right in ka.Right:
            decision = desk.may(id, right)
            assert (bool(decision), decision.right) == (held >= right, held)


# ---- mutants: the comparison can fail --------------------------------------------------------------------------------

Edit = tuple[str, str]

IN_FORCE = "    if not in_force(claim, reader.today):\n"
PRIVATE = "    if organisation.private:\n        yield from"
OWN_OR_COVERING = "if claim.organisation_id == own or claim.covers_subsidiaries:"
DEPUTIES = """reader.policy.deputies_see_private and any(
        c.role == KEY_ACCOUNT_MANAGER and c.active and in_force(c, reader.today) for c in claims
    )"""
ROLE_RIGHT = "right = claim.right if claim.role is None else"
OWN = "[claim for claim in claims if claim.organisation_id == own]"
STANDS_IN = "if s.deputy_id == user.id and"
CHAIN = "any(t.deputy_id == user.id and t.user_id == s.deputy_id and in_force(t, today) for t in substitutions)"
OVERSEES = "if claim.role == KEY_ACCOUNT_MANAGER and reader.policy.oversight and claim"
SUBSTITUTE = 'kind == "substitution" and claim.role == KEY_ACCOUNT_MANAGER'


def _out_of_force(also: str) -> Edit:
    """Let a claim not count on one more day."""
    return IN_FORCE, IN_FORCE.replace("today)", f"today) or {also}")


def _in_force(also: str) -> Edit:
    """Let a claim count on one more day."""
    return IN_FORCE, IN_FORCE.replace(":\n", f" and not ({also}):\n")


def _on_private(condition: str, kind: str) -> Edit:
    """Let something count on private accounts too."""
    more = f'if {condition}:\n            yield "{kind}", Right.READ, None\n        yield'
    return PRIVATE, PRIVATE.replace("yield", more)


MUTANTS: dict[str, tuple[Edit, ...]] = {
    "private is ignored": ((PRIVATE, PRIVATE.replace("private:", "private and not claims:")),),
    "covering claims count on private": ((OWN, OWN.replace("]", " or claim.covers_subsidiaries]")),),
    "a grant counts on private": (('or kind == "break-glass":', 'or kind in ("break-glass", "grant"):'),),
    "the default counts on private": (_on_private("reader.policy.default", "default"),),
    "a steward counts on private": (_on_private("reader.steward", "steward"),),
    "deputies see private without the policy": ((DEPUTIES, DEPUTIES.partition(" and ")[2]),),
    "deputies see private without a manager": ((DEPUTIES, DEPUTIES.partition(" and ")[0]),),
    "an inactive manager lets deputies see private": (("and c.active and", "and"),),
    "a deputy's deputy sees private": ((SUBSTITUTE, 'kind == "substitution"'),),
    "the last day does not count": (_out_of_force("claim.valid_until == reader.today"),),
    "the first day does not count": (_out_of_force("claim.valid_from == reader.today"),),
    "the day after the last counts": (
        _in_force("claim.valid_until and claim.valid_until.toordinal() + 1 == reader.today.toordinal()"),
    ),
    "the day before the first counts": (
        _in_force("claim.valid_from and claim.valid_from.toordinal() - 1 == reader.today.toordinal()"),
    ),
    "a team member administers": ((ROLE_RIGHT, f"{ROLE_RIGHT} Right.ADMINISTER if claim.role == TEAM_MEMBER else"),),
    "covering counts for nothing": ((OWN_OR_COVERING, "if claim.organisation_id == own:"),),
    "everything covers": ((OWN_OR_COVERING, "if claims:"),),
    "a grant to a unit reaches superiors": (
        ("{one.id: one.parent_id for one in units}", "{one.parent_id: one.id for one in units}"),
    ),
    "a grant to a unit stops at sub-units": (("above = parents[above]", "above = None"),),
    "a unit is mistaken for a user": (('return f"{kind} {id}"', 'return f"{id}"'),),
    "a substitution is not capped": (("min(right, Right.CHANGE)", "right"),),
    "a substitution chains": ((STANDS_IN, f"if (s.deputy_id == user.id or {CHAIN}) and"),),
    "a substitution for the inactive counts": (("for one in absent if one.active}", "for one in absent}"),),
    "a substitution has no end": ((" and in_force(s, today)]", "]"),),
    "a substitution brings grants": (
        ("if claim.role is not None and claim", 'if claim.principal.kind == "user" and claim'),
    ),
    "oversight without the policy": (
        (" if policy.oversight else frozenset(),", ","),
        (OVERSEES, OVERSEES.replace(" and reader.policy.oversight", "")),
        ('yield "oversight", reader.policy.oversight', 'yield "oversight", reader.policy.oversight or Right.READ'),
    ),
    "oversight includes deputies": (
        (OVERSEES, OVERSEES.replace("== KEY", "in (DEPUTY, KEY").replace(" and", ") and", 1)),
    ),
    "oversight of the inactive": (("if one.active and one.id != user.id", "if one.id != user.id"),),
    "glass is open at its closing moment": (("<= now < claim.closes_at", "<= now <= claim.closes_at"),),
    "glass is shut at its opening moment": (("claim.opens_at <= now", "claim.opens_at < now"),),
    "glass opens for others than stewards": (("if reader.steward and reader.is_me", "if reader.is_me"),),
    "glass opens for every steward": (("reader.is_me(claim) and _is_open", "_is_open"),),
    "claims of those stood in for are put aside": (("(*self.acts_for, *self.oversees)", "self.oversees"),),
    "claims of the overseen are put aside": (("(*self.acts_for, *self.oversees)", "self.acts_for"),),
    "grants to everyone are put aside": ((' _name("everyone", None),', ""),),
    "a steward holds nothing": (("    if reader.steward:\n        yield", "    if not claims:\n        yield"),),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_of_the_rule_is_caught(name: str, tmp_path: Path) -> None:
    """The comparison tells a wrong rule from the right one."""
    copy = tmp_path / "keyaccount"
    source = Path(access.__file__)
    shutil.copytree(source.parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / source.name).write_text(_mutated(source.read_text(encoding="utf-8"), name), encoding="utf-8")
    done = _compared(tmp_path)
    assert done.returncode == CAUGHT, f"{name}: {done.stdout}{done.stderr}"


def test_the_rule_itself_is_not_caught(tmp_path: Path) -> None:
    """The comparison that catches the mutants finds nothing in an unchanged copy."""
    source = Path(access.__file__)
    shutil.copytree(source.parent, tmp_path / "keyaccount", ignore=shutil.ignore_patterns("__pycache__"))
    done = _compared(tmp_path)
    assert done.returncode == ALIKE, done.stdout + done.stderr


def _mutated(text: str, name: str) -> str:
    for old, new in MUTANTS[name]:
        assert text.count(old) == 1, f"the seed {name!r} no longer applies: {old!r} stands {text.count(old)} times"
        text = text.replace(old, new)
    return text


def _compared(copy: Path) -> subprocess.CompletedProcess[str]:
    here = Path(__file__).parents[1]
    return subprocess.run(
        [sys.executable, "-m", "access.test_three_ways", str(copy)],
        env={**os.environ, "PYTHONPATH": f"{copy}{os.pathsep}{here}", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def main(copy: str) -> int:
    """Compare what is imported from a copy; tell the first difference and fail with the agreed code."""
    if not Path(access.__file__).is_relative_to(copy):
        sys.stdout.write(f"{access.__file__} is not in {copy}\n")
        return 1
    told = first_difference(range(30))
    sys.stdout.write(f"{told}\n")
    return ALIKE if told is None else CAUGHT


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
