"""What a user may not read changes nothing at this user's desk; and the runner that shows it leaves nothing out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import pytest

import keyaccount as ka
from keyaccount.catalogue import KINDS
from keyaccount.providers import Sight
from keyaccount.shapes import Many, One, Shape
from worlds import two_worlds as tw

COUNTED = 6 * len(tw.VARIANTS)
CHUNK = 20
TAKEN = "Organisation 'n-1' cannot be created: its id or an external reference is taken"


@pytest.mark.parametrize("start", range(COUNTED, tw.WORLDS, CHUNK))
def test_two_worlds_are_alike(start: int) -> None:
    """Two stores that differ only in what a user may not read behave identically for every call of the user's desk."""
    seeds = range(start, min(start + CHUNK, tw.WORLDS))
    found = tw.run_all(seeds, tw.Tally())
    assert not found, str(found[0])


def test_most_calls_say_something() -> None:
    """Of the calls that are compared a third succeeds, each sort at least once, and only documented errors come up."""
    tally = tw.Tally()
    found = tw.run_all(range(COUNTED), tally)
    assert not found, str(found[0])
    assert tally.succeeded.total() * 3 >= tally.asked.total()
    assert {name for name in tw.GENERATORS if not tally.succeeded[name]} == tw.TRUSTED_ONLY
    assert not tally.foreign, "\n".join(tally.foreign[:20])


def test_every_public_call_has_a_generator() -> None:
    """Each public member of a desk and of its areas is called by the runner, and it calls nothing else."""
    desk = tw.build(0).sides[0].desk
    assert tw.surface(desk) == set(tw.GENERATORS), "write a generator: @asks('desk...') in worlds/two_worlds.py"


def test_every_lazy_member_is_looked_at() -> None:
    """Each public property and method of every answer is looked at; those that need arguments have a way to ask."""
    members = {item for cls in tw.answers() for item in tw.members(cls)}
    needy = {f"{owner}.{name}" for name, owner, needs_more in members if needs_more}
    assert needy == set(tw.MEMBERS), "add the member to MEMBERS, or with a reason to NOT_ASKED"


def test_every_kind_has_a_generator() -> None:
    """Records of every kind in the catalogue are made and written by the runner."""
    assert set(tw.KINDS_MADE) == set(KINDS), "add the kind to KINDS_MADE"


def _inner(shape: Shape) -> Iterator[Shape]:
    yield shape
    if isinstance(shape, Many):
        yield from _inner(shape.item)


def test_every_shape_has_a_generator() -> None:
    """Every shape in the catalogue, and every value object in one, can be filled."""
    found = [inner for kind in KINDS.values() for shape in kind.shapes.values() for inner in _inner(shape)]
    assert not {type(shape) for shape in found if not any(cls in tw.MADE for cls in type(shape).__mro__)}
    assert not {shape.of for shape in found if isinstance(shape, One)} - set(tw.VALUES)


def test_a_provider_uses_all_it_is_given() -> None:
    """The host's provider in both worlds looks through every public member of its sight."""
    assert {name for name in dir(Sight) if not name.startswith("_")} == tw.SIGHT_USED


def test_a_seed_makes_the_same_world_again() -> None:
    """A failing world can be run again from its seed: the rows and the calls are the same."""
    told = []
    for _ in range(2):
        pair = tw.build(17)
        calls = [pair.next_call() for _ in range(tw.CALLS)]
        rows = [list(side.office.find(kind.cls)) for side in pair.sides for kind in KINDS.values()]
        told.append(([(call.name, call.text) for call in calls], rows))
    assert told[0] == told[1]


def test_a_difference_is_noticed() -> None:
    """Two worlds that differ in what the user reads are told apart: the runner can fail."""
    pair = tw.build(0)
    row = pair.sides[1].desk.find(ka.Organisation)[0]
    pair.sides[1].office.put(attrs.evolve(row, name="Another name"))
    call = tw.call("desk.get", tw.given(ka.Organisation, row.id))
    texts = [tw.observed(side, call).text for side in pair.sides]
    assert texts[0] != texts[1]
    assert str(tw.Difference(0, "", 0, call, (texts[0], texts[1]))).endswith("--seed 0")


@pytest.mark.parametrize("reason", tw.EXCEPTIONS)
def test_what_is_taken_unseen_fails_with_one_fixed_text(reason: str) -> None:
    """An id or an external reference that exists unseen fails alike, whatever it belongs to; nothing else is told."""
    book = ka.open(policy=ka.AccessPolicy(default=None))
    office = book.trusted("setup")
    office.put(ka.User("me", name="Me"), ka.Organisation("n-1" if "id" in reason.split() else "h-1", name="Hidden"))
    taken: Any = {"refs": {"erp": "42"}}
    office.put(attrs.evolve(office.find(ka.Organisation)[0], **taken))
    with pytest.raises(ka.ConflictError) as caught:
        book.desk("me").put(ka.Organisation("n-1", name="New", **({} if "id" in reason.split() else taken)))
    error = caught.value
    assert (str(error), error.args) == (TAKEN, ("Organisation", "n-1", None, None))
    assert (error.__cause__, error.__context__) == (None, None)
