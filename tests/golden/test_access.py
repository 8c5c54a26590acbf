"""Who may do what, case by case: the worlds of `access.txt`, decided by hand from the specification."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest

import keyaccount as ka
from golden import world as given
from golden.world import Case, Question, Rule, World
from keyaccount.found import Found
from keyaccount.model.entity import Entity

TABLE = given.read(Path(__file__).with_name("access.txt"))
FEWEST_CASES = 350
PLURALS: Mapping[str, type[Entity]] = {
    "organisations": ka.Organisation,
    "contacts": ka.Contact,
    "positions": ka.Position,
    "notes": ka.ServiceNote,
    "activities": ka.Activity,
    "assignments": ka.Assignment,
    "grants": ka.Grant,
    "units": ka.Unit,
    "users": ka.User,
}


def _opens(world: World, name: str) -> str:
    world.desks[name] = world.book.desk(name)
    return "done"


def _may(world: World, name: str, right: str, organisation: str) -> str:
    decision = world.desk(name).may(organisation, ka.Right[right])
    assert decision.right is not None
    assert bool(decision) is (decision.right >= ka.Right[right])
    return f"yes, holds {decision.right.name}" if decision else f"no, holds {decision.right.name}"


def _why(world: World, name: str, organisation: str) -> str:
    """Tell all reasons: the right, what gives it, through which unit, inherited or not, since and until when."""
    return " + ".join(sorted(map(_reason, world.desk(name).may(organisation).reasons)))


def _reason(reason: ka.access.Reason) -> str:
    principal = reason.principal
    whom = "" if principal is None or principal.id is None else f" {principal.kind} {principal.id}"
    told = {"assignment": f"as {reason.role}", "grant": f"granted to{whom or ' everyone'}"}
    parts = [
        f"{reason.right.name} {told.get(reason.kind, reason.kind)}",
        f"through {reason.through}" if reason.through and (principal is None or principal.id != reason.through) else "",
        "inherited" if reason.inherited else "",
        f"since {reason.since}" if reason.since else "",
        f"until {reason.until}" if reason.until else "",
    ]
    return " ".join(filter(None, parts))


def _why_says(world: World, name: str, organisation: str, word: str) -> str:
    decision = world.desk(name).may(organisation)
    return given.shown(word in f"{decision}{decision!r}{decision.to_dict()}")


def _reads(world: World, name: str, kind: str, id: str, field: str | None) -> str:
    row = world.desk(name).get(given.KINDS[kind], id)
    return "yes" if field is None else given.shown(getattr(row, field))


def _finds(world: World, name: str, kinds: str, field: str | None, value: str | None) -> str:
    conditions: dict[str, Any] = {} if field is None else {field: value}
    found: Found[Entity] = world.desk(name).find(PLURALS[kinds], **conditions)
    assert world.desk(name).count(PLURALS[kinds], **conditions) == len(found)
    return given.shown(tuple(row.key for row in found))


def _searches(world: World, name: str, text: str) -> str:
    return given.shown(tuple(hit.id for hit in world.desk(name).search(text)))


def _phones(world: World, name: str, contact: str) -> str:
    return given.shown(world.desk(name).card(contact=contact, context="crm").phones)


def _positions(world: World, name: str, contact: str) -> str:
    return given.shown(tuple(p.position_id for p in world.desk(name).card(contact=contact, context="crm").positions))


def _caller(world: World, name: str, number: str) -> str:
    card = world.desk(name).caller(number)
    return "nobody" if card is None else card.name


def _notes(world: World, name: str, organisation: str, on: str) -> str:
    found = world.desk(name).notes(organisation=organisation, context="crm", on=date.fromisoformat(on))
    return given.shown(tuple(note.id for note in found))


def _policy(_: World, statement: str) -> str:
    given.build([statement])
    return "done"


QUESTIONS: Mapping[str, Question] = {
    r"(\w+) opens a desk": _opens,
    r"(\w+) may (READ|CHANGE|ADMINISTER) (\S+)": _may,
    r"why may (\w+) read (\S+)": _why,
    r"the reasons of (\w+) on (\S+) name (\S+)": _why_says,
    r"(\w+) reads (\w+) (\S+)(?: (\w+))?": _reads,
    r"(\w+) finds (\w+)(?: with (\w+) (\S+))?": _finds,
    r'(\w+) searches "(.+)"': _searches,
    r"(\w+) asks the phones of (\w+)": _phones,
    r"(\w+) asks the positions of (\w+)": _positions,
    r"(\w+) is called by (.+)": _caller,
    r"(\w+) sees the notes of (\S+) on (\S+)": _notes,
    r"(policy .+)": _policy,
}


@pytest.mark.parametrize("case", TABLE.cases, ids=lambda case: case.id)
def test_case(case: Case) -> None:
    """A right is held, or not, as the specification says."""
    world = given.build([*TABLE.world, *case.given])
    assert given.answer(world, case.asked, QUESTIONS) == case.expected


@pytest.mark.parametrize("case", [c for c in TABLE.cases if "alike" in c.rules], ids=lambda case: case.id)
def test_unreadable_is_like_missing(case: Case) -> None:
    """A question about the shielded account `vault` gets the very words of one about an account that is not there."""
    world = given.build([*TABLE.world, *case.given])
    asked = case.asked[-1]
    assert "vault" in asked
    assert _words(world, asked) == _words(world, asked.replace("vault", "voult")).replace("voult", "vault")


def _words(world: World, question: str) -> str:
    try:
        return given.ask(world, question, QUESTIONS)
    except ka.KeyAccountError as error:
        return f"{type(error).__name__}: {error}"


@pytest.mark.parametrize("rule", TABLE.rules, ids=lambda rule: rule.name)
def test_rule_stands_in_the_specification(rule: Rule) -> None:
    """The words quoted are the specification's own."""
    if not given.SPECIFICATION.is_dir():
        pytest.skip(f"the specification is not at {given.SPECIFICATION}")
    assert rule.missing is None


def test_every_rule_has_a_case() -> None:
    """Rules and cases name each other, and each name stands there once."""
    assert list(TABLE.problems()) == []
    assert len(TABLE.cases) >= FEWEST_CASES
