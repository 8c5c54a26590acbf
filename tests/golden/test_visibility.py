"""Which notes are seen at which moment, case by case: the worlds of `visibility.txt`, decided by hand."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pytest

import keyaccount as ka
from golden import world as given
from golden.world import NOTHING, Case, Question, Rule, World

TABLE = given.read(Path(__file__).with_name("visibility.txt"))
FEWEST_CASES = 350


def _day(on: str | None) -> date | None:
    return None if on is None else date.fromisoformat(on)


def _notes(world: World, name: str, subject: str, context: str, on: str | None = None) -> ka.Notes:
    asked = world.subject(subject)
    return world.desk(name).notes(**asked, context=context, on=_day(on))


def _listed(ids: list[str]) -> str:
    return ", ".join(ids) or NOTHING


def _card(world: World, name: str, subject: str, context: str = "crm", on: str | None = None) -> ka.BusinessCard:
    asked = world.subject(subject)
    return world.desk(name).card(**asked, context=context, on=_day(on))


def _sees(world: World, name: str, subject: str, context: str, on: str | None) -> str:
    """List the notes in their order, and see that the card shows the same, each time."""
    found = [note.id for note in _notes(world, name, subject, context, on)]
    assert [note.id for note in _card(world, name, subject, context, on).notes] == found
    return _listed(found)


def _told(world: World, name: str, what: str, subject: str, context: str) -> str:
    """Tell one thing of each note, in order."""
    return _listed([given.shown(_part(note, what)) for note in _notes(world, name, subject, context)])


def _part(note: ka.VisibleNote, what: str) -> object:
    return note.severity.name if what == "severity" else getattr(note, what)


def _saying(world: World, name: str, subject: str, context: str, words: str) -> str:
    """List the notes whose text has all these words."""
    found = _notes(world, name, subject, context)
    return _listed([note.id for note in found if all(word in note.text for word in words.split("+"))])


def _because(world: World, name: str, subject: str, context: str, words: str) -> str:
    """List the notes that name all these words as why they are here."""
    found = _notes(world, name, subject, context)
    return _listed([note.id for note in found if all(word in note.why for word in words.split("+"))])


def _must_stop(world: World, name: str, subject: str, context: str) -> str:
    return given.shown(_notes(world, name, subject, context).must_stop)


def _must_acknowledge(world: World, name: str, subject: str, context: str) -> str:
    return _listed([note.id for note in _notes(world, name, subject, context).to_acknowledge])


def _batch(world: World, name: str, organisations: str, context: str) -> str:
    found = world.desk(name).notes_for(organisations=organisations.split(","), context=context)
    return "; ".join(f"{id}: {_listed([note.id for note in notes])}" for id, notes in found.items()) or NOTHING


def _no_context(world: World, name: str, subject: str) -> str:
    ask: object = world.desk(name).notes
    with pytest.raises(TypeError):
        ask(**world.subject(subject))  # type: ignore[operator]
    return "impossible"


def _acknowledges(world: World, name: str, note: str) -> str:
    world.desk(name).service_notes.acknowledge(note)
    return "done"


def _dismisses(world: World, name: str, note: str) -> str:
    world.desk(name).service_notes.dismiss(note)
    return "done"


def _maps(world: World, name: str, category: str, contexts: str) -> str:
    chosen = () if contexts == "no contexts" else contexts.split(",")
    world.desk(name).service_notes.set_category(category, contexts=chosen)
    return "done"


def _registers(world: World, name: str, context: str) -> str:
    world.desk(name).service_notes.add_context(context)
    return "done"


def _seen(world: World, name: str, note: str) -> str:
    found = world.desk(name).find(ka.Acknowledgement, note_id=note)
    return _listed(sorted(f"{a.user_id} {a.at.date() if a.at else NOTHING}" for a in found))


def _contexts(world: World, name: str) -> str:
    return given.shown(tuple(row.id for row in world.desk(name).find(ka.Context)))


def _keeps(world: World, name: str, activity: str) -> str:
    world.desk(name).activities.done(activity)
    return "done"


def _holder(world: World, name: str, role: str, organisation: str, on: str | None) -> str:
    found = world.desk(name).people.special_contact(organisation, role, on=_day(on))
    return "nobody" if found is None else found.id


def _address(world: World, name: str, subject: str) -> str:
    card = _card(world, name, subject)
    return given.shown(card.address and card.address.town)


def _last(world: World, name: str, subject: str) -> str:
    last = _card(world, name, subject).last_contact
    return "never" if last is None else last.activity_id


def _vip(world: World, name: str, subject: str) -> str:
    return given.shown(_card(world, name, subject).vip)


def _vips(world: World, name: str, on: str | None) -> str:
    found = world.desk(name).people.vips(on=_day(on))
    return given.shown({f"{vip.contact.id} at {vip.organisation.id}" for vip in found})


def _caller(world: World, name: str, number: str) -> str:
    card = world.desk(name).caller(number)
    if card is None:
        return "nobody"
    contact, organisation = (row.id if row is not None else None for row in (card.contact, card.organisation))
    matches = [(contact, organisation), *((other.contact_id, other.organisation_id) for other in card.others)]
    return ", ".join(" at ".join(id for id in match if id is not None) for match in matches)


QUESTIONS: Mapping[str, Question] = {
    r"(\w+) sees the (\w+) of (.+) in (\S+)": _told,
    r"(\w+) sees (.+) in (\S+) saying (.+)": _saying,
    r"(\w+) sees (.+) in (\S+) because of (.+)": _because,
    r"(\w+) sees (.+?) in (\S+?)(?: on (\S+))?": _sees,
    r"(\w+) must stop for (.+) in (\S+)": _must_stop,
    r"(\w+) must acknowledge for (.+) in (\S+)": _must_acknowledge,
    r"(\w+) runs (\S+) in (\S+)": _batch,
    r"(\w+) asks without a context for (.+)": _no_context,
    r"(\w+) acknowledges (\S+)": _acknowledges,
    r"(\w+) dismisses (\S+)": _dismisses,
    r"(\w+) maps (\S+) to (.+)": _maps,
    r"(\w+) registers (\S+)": _registers,
    r"(\w+) asks who has seen (\S+)": _seen,
    r"(\w+) lists the contexts": _contexts,
    r"(\w+) keeps (\S+)": _keeps,
    r'(\w+) asks for "(.+)" of (\S+?)(?: on (\S+))?': _holder,
    r"(\w+) asks the address of (.+)": _address,
    r"(\w+) asks for the last contact with (.+)": _last,
    r"(\w+) asks whether (.+) is important": _vip,
    r"(\w+) lists the important people(?: on (\S+))?": _vips,
    r"(\w+) is called by (.+)": _caller,
}


@pytest.mark.parametrize("case", TABLE.cases, ids=lambda case: case.id)
def test_case(case: Case) -> None:
    """A note is seen, or not, as the specification says."""
    world = given.build([*TABLE.world, *case.given])
    assert given.answer(world, case.asked, QUESTIONS) == case.expected


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
