"""The catalogue of metrics: every call has its row, every row names a call, and says what that call does."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import pytest

import keyaccount as ka
from keyaccount import actions, figures, health, portfolio
from keyaccount.areas.billing import Billing
from keyaccount.areas.contracts import Contracts
from keyaccount.areas.portfolio import Asked, Portfolio
from keyaccount.desk import Desk

PAGE = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
AREAS = {"portfolio": Portfolio, "billing": Billing, "contracts": Contracts}
CALLS: dict[str, Callable[..., Any]] = {
    **{
        f"{area}.{name}": call
        for area, cls in AREAS.items()
        for name, call in inspect.getmembers(cls, inspect.isfunction)
        if not name.startswith("_")
    },
    "desk.health_check": Desk.health_check,
    "desk.daily": Desk.daily,
}


def tables() -> Iterator[list[dict[str, str]]]:
    """Yield each table of the page as its rows, by the heads of the columns."""
    for block in re.findall(r"(?:^\|.*\n)+", PAGE, re.MULTILINE):
        lines = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in block.splitlines()]
        heads, _, *rows = lines
        assert all(len(row) == len(heads) for row in rows), heads
        yield [dict(zip(heads, row, strict=True)) for row in rows]


def rows(*heads: str) -> list[dict[str, str]]:
    """Return the rows of all tables that have these columns."""
    return [row for table in tables() for row in table if row.keys() >= set(heads)]


def code(cell: str) -> list[str]:
    """Return what stands in a cell as code."""
    return re.findall(r"`([^`]+)`", cell)


def named(found: list[dict[str, str]], head: str) -> list[str]:
    """Return what a column names as code, row by row."""
    return [name for row in found for name in code(row[head])]


def stated(parameter: inspect.Parameter) -> str:
    """Return an option as the page writes it: with its default, where that says something."""
    if parameter.default in (inspect.Parameter.empty, None):
        return parameter.name
    told = f'"{parameter.default}"' if isinstance(parameter.default, str) else str(parameter.default)
    return f"{parameter.name}={told}"


def own_options(call: Callable[..., Any]) -> list[str]:
    """Return the options of a call, without those that all metrics of the portfolio share."""
    kept = [one for one in inspect.signature(call).parameters.values() if one.kind is not one.VAR_KEYWORD]
    return [stated(one) for one in kept if one.name != "self"]


def test_every_call_has_one_row_that_says_what_it_asks_and_every_row_names_a_call() -> None:
    """A metric that is added, renamed or removed shows in the page."""
    asking = [name for row in rows("call", "question") for name in code(row["call"]) if "." in name]
    assert sorted(asking) == sorted(CALLS)
    assert all(row["question"] for row in rows("call", "question"))


def test_every_call_has_one_row_that_says_how_it_is_counted() -> None:
    """Options and edge cases are told of every call."""
    assert sorted(named(rows("call", "own options"), "call")) == sorted(CALLS)


@pytest.mark.parametrize("row", rows("call", "own options"), ids=lambda row: row["call"].strip("`"))
def test_the_options_of_a_row_are_those_of_the_call(row: dict[str, str]) -> None:
    """A page that promises an option or a default has it from the signature."""
    assert code(row["own options"]) == own_options(CALLS[code(row["call"])[0]])


def test_the_options_all_metrics_share_are_those_of_the_page() -> None:
    """The shared options stand once, above the rows."""
    assert named(rows("option"), "option") == list(Asked.__annotations__)


def reason_of(name: str) -> str | None:
    """Return why a metric has no value where nothing is known."""
    call = getattr(ka.open(clock=lambda: datetime(2026, 11, 23, tzinfo=UTC)).trusted("test").portfolio, name)
    wants_period = "period" in inspect.signature(call).parameters
    answer = call(ka.Period.year(2026)) if wants_period else call()
    reason: str | None = getattr(getattr(answer, "whole", None) or answer, "reason")  # noqa: B009 - of three types
    return reason


@pytest.mark.parametrize("row", rows("call", "no value", "records"), ids=lambda row: row["call"].strip("`"))
def test_the_reason_of_no_value_is_the_one_the_page_gives(row: dict[str, str]) -> None:
    """Over an empty book each metric of the portfolio says what its row says."""
    area, name = code(row["call"])[0].split(".")
    if area != "portfolio":
        assert not code(row["no value"])
        return
    reason = reason_of(name)
    assert reason in code(row["no value"]) if reason is not None else row["no value"].startswith("never")


def test_every_reason_on_the_page_is_one_the_library_gives() -> None:
    """A reason that was reworded shows in the page."""
    source = "".join(path.read_text(encoding="utf-8") for path in Path(str(ka.__file__)).parent.glob("*.py"))
    reasons = {one for one in named(rows("no value"), "no value") if one not in CALLS}
    assert len(reasons) > 20
    assert {one for one in reasons if f'"{one}"' not in source} == set()


def test_the_signals_of_a_health_check_are_those_of_the_page_with_their_fields() -> None:
    """A signal that is added to the health check is added to the page."""
    told = {code(row["signal"])[0]: tuple(code(row["fields of a row"])) for row in rows("signal")}
    assert told == dict(health.SIGNALS)


def test_the_steps_of_a_health_check_are_those_of_the_page_in_their_order() -> None:
    """The ranking the page tells is the ranking there is."""
    assert named(rows("step"), "step") == list(actions.KINDS)


def test_the_plain_functions_without_a_call_are_those_of_the_page() -> None:
    """What only the plain functions offer is told too; sums and windows are told of in one sentence."""
    on_desks = {name.partition(".")[2] for name in CALLS if name.startswith("portfolio.")}
    plain = {name for name in portfolio.__all__ if inspect.isfunction(getattr(portfolio, name))} - on_desks
    parts = {name for name in plain if name.endswith(("_of", "_windows"))}
    assert sorted(named(rows("call", "gives"), "call")) == sorted(plain - parts)


def test_the_fields_of_a_figure_the_page_names_are_there() -> None:
    """What the page says of every figure is what a figure has."""
    said = PAGE.partition("## What holds for all of them")[2].partition("Every call of")[0]
    both_sides = said.partition("**Both sides**")[2].partition("- **Provisional**")[0]
    fields = {field.name for field in attrs.fields(figures.Figure)}
    assert set(code(both_sides)) <= fields
    assert {"numerator", "denominator", "records", "excluded"} <= set(code(both_sides))
