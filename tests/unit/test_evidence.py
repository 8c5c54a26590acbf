"""Evidence: what is packed is what was gathered, and as good as its tuple."""

from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyaccount.evidence import EAGER, Evidence, Excluded, ids, left_out
from keyaccount.figures import Records

NUMBER = EAGER * 2 + 7_001


def names(count: int = NUMBER) -> list[str]:
    """Make ids, with what text may hold."""
    return [f"m-{n}-ü\u2028\"'" for n in range(count)]


def test_few_are_a_tuple() -> None:
    """Up to 10,000 ids stand in a plain tuple."""
    some = ids()
    some.extend(names(EAGER))
    assert type(some.told()) is tuple
    assert some.told() == tuple(names(EAGER))
    some.extend(["one more"])
    assert isinstance(some.told(), Evidence)
    assert some.told() == (*names(EAGER), "one more")


def test_many_are_as_good_as_their_tuple() -> None:
    """They equal, hash, slice, copy, tell and iterate like it, however they came."""
    at_once, one_by_one = ids(), ids()
    at_once.extend(names())
    for name in names():
        one_by_one.extend((name,))
    found, whole = at_once.told(), tuple(names())
    assert found == one_by_one.told() == whole
    assert whole == found
    assert found != whole[:-1]
    assert found != (*whole[:-1], "else")
    assert (len(found), hash(found), repr(found)) == (NUMBER, hash(whole), repr(whole))
    assert list(found) == list(whole)
    assert (found[-3:], found[::-4_999]) == (whole[-3:], whole[::-4_999])
    assert whole[20_123] in found
    assert "else" not in found
    assert found.index(whole[-1]) == NUMBER - 1
    assert pickle.loads(pickle.dumps(Records(found))) == Records(whole)  # noqa: S301 - our own bytes
    assert copy.deepcopy(found) == whole
    assert Records(found).to_dict()["numerator"] == list(whole)
    for place in (NUMBER, -NUMBER - 1):
        with pytest.raises(IndexError):
            found[place]


@given(st.integers(0, 25_000), st.lists(st.integers(-25_000, 25_000), max_size=9))
@settings(max_examples=20)
def test_each_stands_at_its_place(count: int, places: list[int]) -> None:
    """A record is found by its place, from either end, in any order."""
    some, whole = ids(), [str(n) for n in range(count)]
    some.extend(whole)
    found = some.told()
    assert [found[place] for place in places if -count <= place < count] == [
        whole[place] for place in places if -count <= place < count
    ]


def test_a_copy_goes_its_own_way() -> None:
    """What is told or copied does not change when more come."""
    some = ids()
    some.extend(names())
    other, told = some.copy(), some.told()
    some.extend(["later"])
    assert other.told() == told == tuple(names())
    assert len(some.told()) == NUMBER + 1
    assert told == tuple(names())  # still


def test_what_was_left_out_keeps_its_reason() -> None:
    """Few are sorted where that is asked for; many stay as they came, and are what they were."""
    some = left_out()
    some.extend([Excluded("b", "draft"), Excluded("a", "draft")])
    assert some.told(sorts=True) == (Excluded("a", "draft"), Excluded("b", "draft"))
    some.extend(Excluded(name, "no value") for name in names())
    found = some.told(sorts=True)
    assert found[0] == Excluded("b", "draft")
    assert found[-1].reason == "no value"
    assert {type(one) for one in found} == {Excluded}
