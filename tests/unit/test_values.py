"""Small frozen values: mappings, JSON, names that compare, ids that are new."""

from __future__ import annotations

import json
import pickle
import re
import sys
import threading
import time
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyaccount.values import FrozenMap, fold, frozen_json, new_id, unwritable

writable = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=20)
leaves = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False)
documents = st.recursive(
    leaves | writable,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(writable, inner, max_size=4),
    max_leaves=15,
)


@given(st.dictionaries(writable, st.integers()))
def test_frozen_map_is_its_items(items: dict[str, int]) -> None:
    """A frozen mapping equals, hashes, lists and pickles by its items, and does not follow its source."""
    frozen = FrozenMap(items)
    turned = FrozenMap(tuple(reversed(items.items())))
    assert frozen == items
    assert frozen == turned
    assert hash(frozen) == hash(turned)
    assert list(frozen) == list(items)
    assert pickle.loads(pickle.dumps(frozen)) == frozen  # noqa: S301 - our own bytes
    items["more"] = 1
    assert "more" not in frozen


def test_frozen_map_has_no_way_to_change() -> None:
    """Nothing can be set, deleted or added on a frozen mapping."""
    frozen: Any = FrozenMap({"a": 1})
    with pytest.raises(TypeError):
        frozen["a"] = 2
    with pytest.raises(TypeError):
        del frozen["a"]
    with pytest.raises(AttributeError):
        frozen.more = 1


@given(documents)
def test_json_comes_back_exactly(document: Any) -> None:
    """Freezing a JSON value and writing it again gives the same text, key order and number types included."""

    def thawed(value: Any) -> Any:
        if isinstance(value, FrozenMap):
            return {key: thawed(item) for key, item in value.items()}
        return [thawed(item) for item in value] if isinstance(value, tuple) else value

    frozen = frozen_json(document)
    assert json.dumps(thawed(frozen)) == json.dumps(document)
    hash(frozen)


@pytest.mark.parametrize(
    "value",
    [
        float("nan"), float("inf"), {1: "a"}, {None: 1}, b"x", {1, 2}, object(), 1j, "\x00", ["\ud800"], {"\x00": 1},
        1 << 300, -(1 << 300), {"a": [{"b": object()}]},
    ],
)  # fmt: skip
def test_what_is_no_json_is_refused(value: Any) -> None:
    """What JSON does not know is a ValueError that says so, wherever it hides."""
    with pytest.raises(ValueError, match=r"^holds "):
        frozen_json(value)


def test_depth_is_limited() -> None:
    """A value nested deeper than 20 levels, or in itself, is refused and does not exhaust the stack."""
    endless: list[Any] = []
    endless.append(endless)
    deep: Any = 1
    for _ in range(5_000):
        deep = [deep]
    for value in (endless, deep):
        with pytest.raises(ValueError, match="deeper than 20"):
            frozen_json(value)


@given(text=st.text(max_size=30), line=st.booleans())
def test_unwritable_by_category(text: str, *, line: bool) -> None:
    """A text is refused exactly for a surrogate or control character; tab and line breaks are allowed off a line."""
    allowed = "" if line else "\t\r\n"
    bad = [c for c in text if unicodedata.category(c) in ("Cs", "Cc") and c not in allowed]
    reason = unwritable(text, line=line)
    assert (reason is not None) is bool(bad)
    if reason is not None:
        assert f"U+{ord(bad[0]):04X}" in reason


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("STRASSE", "straße"),
        ("Café", "Cafe\u0301"),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"),
        ("\u1e9e", "ss"),
        ("\uac00", "\u1100\u1161"),
        ("\u01f0", "J\u030c"),
        ("ACME ag", "Acme AG"),
    ],
)
def test_names_that_are_one(one: str, other: str) -> None:
    """Names compare by case folding and canonical composition."""
    assert fold(one) == fold(other)


@pytest.mark.parametrize(("one", "other"), [("a", "ä"), ("A.B", "AB"), ("1", "\u00b9"), ("i", "\u0131")])
def test_names_that_are_two(one: str, other: str) -> None:
    """Other letters, accents and signs stay different: folding is canonical, not by likeness."""
    assert fold(one) != fold(other)


@given(st.text(max_size=20))
def test_folding_is_stable(name: str) -> None:
    """Folding does not depend on case or on composition, and a folded name stays as it is."""
    assert fold(fold(name)) == fold(name)
    assert fold(unicodedata.normalize("NFD", name)) == fold(name)
    assert fold(unicodedata.normalize("NFC", name)) == fold(name)


def test_new_ids_are_uuids_in_the_order_of_time() -> None:
    """New ids are version 7 UUIDs, never twice the same, and later ones sort later."""
    before = time.time_ns() // 1_000_000
    first = new_id()
    time.sleep(0.003)
    second = new_id()
    assert first < second
    assert before <= int(first.replace("-", "")[:12], 16) <= time.time_ns() // 1_000_000
    pattern = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
    ids: list[str] = []
    threads = [threading.Thread(target=lambda: ids.extend(new_id() for _ in range(500))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(ids)) == 4_000
    assert all(pattern.fullmatch(id) for id in ids)


def test_recursion_limit_is_left_alone() -> None:
    """Freezing a value at the deepest level allowed needs no change of the interpreter's limits."""
    limit = sys.getrecursionlimit()
    value: Any = 1
    for _ in range(20):
        value = [value]
    frozen_json(value)
    assert sys.getrecursionlimit() == limit
