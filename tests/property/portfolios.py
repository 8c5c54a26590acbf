"""Random portfolios: small, crowded and odd, so that ends, gaps, rolls and successors meet."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import attrs
from hypothesis import strategies as st

import keyaccount as ka
from keyaccount import portfolio

START = date(2024, 1, 1)
ACCOUNTS = ("acme", "acme", "globex")
MANAGERS = ("dora", "volker", None)
YEAR = ka.Period.year(2025)

BORDERS = (date(2024, 12, 31), YEAR.start, date(2025, 6, 30), date(2025, 7, 1), date(2025, 12, 31), YEAR.end)

days = st.integers(0, 900).map(lambda n: START + timedelta(n)) | st.sampled_from(BORDERS)
maybe_days = st.none() | days
lengths = st.sampled_from([None, "1 month", "3 months", "14 days", "1 month to the end of a quarter"])
rolls = st.sampled_from([None, None, "1 month", "6 months", "12 months"])
amounts = st.none() | st.integers(0, 500).map(lambda n: ka.Money(n, "EUR"))


@st.composite
def drawn(draw: st.DrawFn, id: str, earlier: tuple[str, ...]) -> ka.Contract:
    """Draw one contract that may name earlier ones."""
    start = draw(days)
    length = draw(st.none() | st.integers(0, 500) | st.sampled_from([180, 182, 364]))
    end = None if length is None else start + timedelta(length)
    initial = draw(st.sampled_from([None, None, "3 months", "12 months"]))
    open_ended = end is None and initial is None
    fields: dict[str, Any] = {
        "organisation_id": draw(st.sampled_from(ACCOUNTS)),
        "kind": draw(st.sampled_from(["supply", "supply", "supply", "lease"])),
        "signed_on": draw(st.just(start) | st.just(start) | maybe_days),
        "starts_on": start,
        "ends_on": end,
        "value": draw(amounts),
        "value_per": draw(st.sampled_from(["month", "once", *(["year", "quarter"] if open_ended else ["term"] * 4)])),
        "notice": draw(lengths),
        "initial_term": initial,
        "renewal_term": None if open_ended else draw(rolls),
        "terminated_on": draw(st.none() | maybe_days),
        "predecessor_ids": draw(st.just(()) | st.just(()) | st.tuples(st.sampled_from(earlier))) if earlier else (),
        "add_on": draw(st.integers(0, 9)) == 0,
    }
    if fields["terminated_on"] is not None:
        fields["terminated_to"] = draw(st.none() | maybe_days)
    return ka.Contract(id, **fields)


@st.composite
def portfolios(draw: st.DrawFn, most: int = 7) -> list[ka.Contract]:
    """Draw up to so many contracts of two accounts."""
    ids = tuple(f"m{n}" for n in range(draw(st.integers(0, most))))
    return [draw(drawn(id, ids[:n])) for n, id in enumerate(ids)]


@st.composite
def managed(draw: st.DrawFn) -> portfolio.Accounts:
    """Draw who manages which account, since when."""
    rows: list[ka.Assignment] = []
    for account in ACCOUNTS:
        for manager in draw(st.lists(st.sampled_from(MANAGERS), max_size=2)):
            if manager is not None:
                id = f"{account}-{len(rows)}"
                rows.append(ka.Assignment(id, manager, account, valid_from=draw(maybe_days)))
    return portfolio.Accounts.of(assignments=rows)


def shifted(contract: ka.Contract, years: int) -> ka.Contract:
    """Return a contract with every day so many years later."""
    names = ("signed_on", "starts_on", "ends_on", "terminated_on", "terminated_to")
    moved = {name: later(day, years) for name in names if (day := getattr(contract, name)) is not None}
    return attrs.evolve(contract, **moved)  # type: ignore[arg-type]


def later(day: date, years: int) -> date:
    """Return the same day so many years later."""
    return day.replace(year=day.year + years)


@st.composite
def crowded(draw: st.DrawFn) -> list[ka.Contract]:
    """Draw short contracts of odd terms and values that end and begin close to each other."""
    rows = []
    for n in range(draw(st.integers(2, 8))):
        start = date(2024, 10, 1) + timedelta(draw(st.integers(0, 250)))
        rows.append(
            ka.Contract(
                f"m{n}",
                organisation_id=draw(st.sampled_from(["acme", "acme", "globex"])),
                kind="supply",
                signed_on=start,
                starts_on=start,
                ends_on=start + timedelta(draw(st.integers(20, 200))),
                value=ka.Money(draw(st.integers(1, 999)), "EUR"),
                value_per="term",
            )
        )
    return rows
