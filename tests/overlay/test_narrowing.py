"""Questions that a database cannot answer exactly are narrowed down to rows too many, and never to too few."""

from __future__ import annotations

import json
import sqlite3
import sys
import unicodedata
from typing import Any

import pytest

from keyaccount import asking, phones
from keyaccount.catalogue import KINDS
from keyaccount.storage.hosts import _SPECIAL, SQLITE
from keyaccount.storage.narrowing import narrowed, sought
from keyaccount.values import fold

NUMBERS = (
    "+49 89 1234-0", "089 1234567, 12", "089/1234567;12", "(089) 12 34 567 DW 12", "1234", "12-34", "123 456, 12",
    "112", "0171,1234567", "1-800-FLOWERS", "٠٨٩ ١٢٣٤٥٦٧", "089\u00a01234567", "0xx11 1234 5678",
    "+1 (212) 555.0100 x 7", "reception",
)  # fmt: skip
NAMES = (
    "ACME AG", "Straße", "STRASSE", "ﬁne", "fine", "\u212aelvin", "kelvin", "İzmir", "ŉ", "100%", "under_score",
    'say "hi"', "back\\slash", "Müller", "Mu\u0308ller", "long " * 60, "[x]*?", "",
)  # fmt: skip
ORGANISATION = KINDS["Organisation"]


def holds(condition: str, bound: dict[str, Any], **columns: str) -> bool:
    """Say whether a condition holds of a row of some columns."""
    told = ", ".join(f":{name} AS {name}" for name in columns)
    sql = f"SELECT COUNT(*) FROM (SELECT {told}) t WHERE {condition}"  # noqa: S608 - names are this file's
    with sqlite3.connect(":memory:") as connection:
        return bool(connection.execute(sql, {**bound, **columns}).fetchone()[0])


def bind_to(bound: dict[str, Any]) -> Any:
    """Return a function that binds values as the statements do."""

    def bind(value: str) -> str:
        bound[f"p{len(bound)}"] = value
        return f":p{len(bound) - 1}"

    return bind


@pytest.mark.parametrize("text", NUMBERS)
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_a_number_is_found_under_each_of_its_keys(text: str, separators: tuple[str, str]) -> None:
    """Whatever key a stored number has, a list that holds it among others is among those looked at."""
    told = json.dumps(["030 999", text, "+43 1 1"], ensure_ascii=False, separators=separators)
    for key in phones.keys(text):
        bound: dict[str, Any] = {}
        condition = narrowed(bind_to(bound), SQLITE, ORGANISATION.shapes["phones"], "t.phones", asking.dialled([key]))
        assert condition is not None
        assert holds(condition, bound, phones=told), key


def test_few_other_numbers_are_looked_at() -> None:
    """Lists of numbers in usual forms that end otherwise are not looked at."""
    bound: dict[str, Any] = {}
    asked = asking.dialled(phones.asked("+49 89 1000050", "DE").keys)
    condition = narrowed(bind_to(bound), SQLITE, ORGANISATION.shapes["phones"], "t.phones", asked)
    assert condition is not None
    others = (json.dumps([f"+49 89 {1_000_000 + n}"]) for n in range(200) if n not in (0, 50))
    assert sum(holds(condition, bound, phones=other) for other in others) < 5


@pytest.mark.parametrize("stored", NAMES)
@pytest.mark.parametrize("asked", NAMES)
def test_names_that_compare_equal_are_found(stored: str, asked: str) -> None:
    """Texts that are equal when folded are among those looked at, and so are texts that a search finds."""
    bound: dict[str, Any] = {}
    condition = narrowed(bind_to(bound), SQLITE, ORGANISATION.shapes["name"], "t.name", asking.Test("is", asked))
    assert condition is not None
    if fold(stored) == fold(asked):
        assert holds(condition, bound, name=stored)
    if fold(asked).strip() and fold(asked).strip() in fold(stored):
        bound.clear()
        condition = sought(bind_to(bound), SQLITE, {"name": "t.name"}, fold(asked).strip(), "")
        assert holds(condition, bound, name=stored)


def test_every_character_that_folds_to_ascii_is_let_through() -> None:
    """The characters named are all that fold to something with ASCII in it."""
    found = {
        chr(code)
        for code in range(128, sys.maxunicode + 1)
        if unicodedata.category(chr(code)) != "Cs" and any(ord(c) < 128 for c in fold(chr(code)))
    }
    assert found == set(_SPECIAL)
