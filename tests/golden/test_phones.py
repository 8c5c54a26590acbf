"""Caller ID, case by case: the numbers of `phones.txt`, worked out by hand from the specification."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import attrs
import pytest

from keyaccount import phones

TABLE = Path(__file__).with_name("phones.txt")
SPECIFICATION = Path(__file__).parents[3] / "shared" / "spec"
FEWEST_CASES = 45


@attrs.frozen
class Rule:
    """Words of the specification."""

    file: str
    words: str


@attrs.frozen
class Case:
    """One line of the table."""

    id: str
    stored: tuple[str, ...]
    head: bool
    regions: tuple[str | None, ...]
    asked: str
    asked_region: str | None
    expected: int | None
    source: Rule


def _region(cell: str) -> str | None:
    return None if cell == "none" else cell


def _expected(cell: str) -> int | None:
    named = {"no": None, "exact": 0}
    return named[cell] if cell in named else int(cell.removeprefix("extension "))


def _source(cell: str) -> Rule:
    found = re.fullmatch(r'(\S+): "(.+)"', cell)
    assert found, f"not a source: {cell}"
    return Rule(found[1], found[2])


def _case(cells: list[str]) -> Case:
    name, stored, whose, regions, asked, asked_region, expected, source = cells
    assert whose in {"head", "person"}, f"{name}: neither head nor person: {whose}"
    return Case(
        id=name,
        stored=tuple(number.strip() for number in stored.split(" & ")),
        head=whose == "head",
        regions=tuple(_region(region.strip()) for region in regions.split(",")),
        asked=asked,
        asked_region=_region(asked_region),
        expected=_expected(expected),
        source=_source(source),
    )


def _rows() -> list[list[str]]:
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.strip() and not line.startswith("#")]
    return [[cell.strip() for cell in row.split("|")] for row in rows]


RULES = [Rule(*row[1:]) for row in _rows() if row[0] == "rule"]
CASES = [_case(row) for row in _rows() if row[0] != "rule"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_case(case: Case) -> None:
    """A number is found, or not, as the specification says."""
    asked = phones.asked(case.asked, case.asked_region)
    matches = [phones.match(asked, number, regions=case.regions, head=case.head) for number in case.stored]
    assert min((found for found in matches if found is not None), default=None) == case.expected


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_case_is_found_by_its_keys(case: Case) -> None:
    """What matches shares a key with the stored number it matches."""
    asked = phones.asked(case.asked, case.asked_region)
    shared = any(asked.keys & phones.keys(number) for number in case.stored)
    assert shared or case.expected is None


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.words)
def test_rule_is_covered(rule: Rule) -> None:
    """Each rule at the top of the table has a case that comes from it."""
    assert rule in {case.source for case in CASES}


def test_every_case_names_a_rule() -> None:
    """No case rests on a sentence that is not among the rules, no two cases share a name."""
    assert not {case.source for case in CASES} - set(RULES)
    assert not [name for name, count in Counter(case.id for case in CASES).items() if count > 1]
    assert len(CASES) >= FEWEST_CASES


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.words)
def test_rule_stands_in_the_specification(rule: Rule) -> None:
    """The words quoted are the specification's own."""
    if not SPECIFICATION.is_dir():
        pytest.skip(f"the specification is not at {SPECIFICATION}")
    text = (SPECIFICATION / rule.file).read_text(encoding="utf-8")
    assert rule.words in " ".join(text.split())
