"""A desk answers from memory, from SQLite, and as the plain functions do over what its user may read."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

import keyaccount as ka
from keyaccount import contracts, portfolio
from property.portfolios import ACCOUNTS, YEAR, portfolios

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
HIDDEN, ALL = "globex", sorted(set(ACCOUNTS))
ORGANISATIONS = [ka.Organisation(id, name=id, private=id == HIDDEN) for id in ALL]
ASSIGNMENTS = [ka.Assignment("k", "kurt", HIDDEN), ka.Assignment("v", "volker", "acme", valid_from=date(2025, 2, 1))]
ACTS = st.lists(
    st.tuples(st.sampled_from(ACCOUNTS), st.sampled_from(["volker", "kurt"]), st.integers(0, 700)), max_size=4
)

METRICS = ("renewal_rate", "account_retention", "gross_retention", "net_retention", "movements")


@contextmanager
def opened(path: str | None, rows: list[ka.Contract], acts: list[ka.Activity]) -> Iterator[ka.Book]:
    """Open a book with a portfolio in it."""
    with ka.open(path, clock=lambda: NOW) as book:
        users = [ka.User(name, name=name) for name in ("volker", "kurt")]
        book.trusted("test").put(*users, *ORGANISATIONS, *ASSIGNMENTS, *rows, *acts)
        yield book


def by_desk(desk: ka.Desk) -> list[Any]:
    """Ask a desk everything."""
    return [
        *(getattr(desk.portfolio, name)(YEAR, by="manager", currency="EUR") for name in METRICS),
        desk.portfolio.renewal_rate(YEAR, level="contract", measure="value", currency="EUR"),
        desk.portfolio.recurring(currency="EUR"),
        desk.portfolio.expired_unrenewed(by="manager"),
        desk.portfolio.days_to_first_action(YEAR, by="manager"),
        desk.contracts.due(within_days=200),
        desk.contracts.notice_deadlines(within_days=200),
        desk.contracts.expired_unrenewed(),
        [desk.contracts.state(row.id) for row in desk.find(ka.Contract, order="id")],
        [desk.contracts.cover(row.id) for row in desk.find(ka.Organisation, order="id")],
    ]


def by_functions(rows: list[ka.Contract], acts: list[ka.Activity], accounts: list[str]) -> list[Any]:
    """Ask the plain functions everything, of plain rows."""
    seen = [row for row in ORGANISATIONS if row.id in accounts]
    users = [ka.User(name, name=name) for name in ("volker", "kurt")]
    assigned = [row for row in ASSIGNMENTS if row.organisation_id in accounts]
    known: dict[str, Any] = {"accounts": portfolio.Accounts.of(seen, users=users, assignments=assigned)}
    on: dict[str, Any] = {"on": NOW.date()}
    euros: dict[str, Any] = {"currency": "EUR", "exchange": lambda *_: None} | known
    actions = list(qualifying(acts, assigned))
    covers = contracts.cover(rows, **on)
    states = contracts.states(rows, **on)
    metric: Callable[[str], Any] = lambda name: getattr(portfolio, name)  # noqa: E731
    return [
        *(metric(name)(rows, YEAR, by="manager", **on, **euros) for name in METRICS),
        portfolio.renewal_rate(rows, YEAR, level="contract", measure="value", **on, **euros),
        portfolio.recurring(rows, **on, **euros),
        portfolio.expired_unrenewed(rows, by="manager", **on, **known),
        portfolio.days_to_first_action(rows, YEAR, by="manager", actions=actions, **on, **known),
        portfolio.due(rows, within_days=200, **on),
        portfolio.notice_deadlines(rows, within_days=200, **on),
        portfolio.expired(rows, **on),
        [states[row.id] for row in sorted(rows, key=lambda row: row.id)],
        [contracts.Covers(tuple(row for row in covers if row.organisation_id == id)) for id in sorted(accounts)],
    ]


def qualifying(acts: list[ka.Activity], assigned: list[ka.Assignment]) -> Iterator[portfolio.Action]:
    """Yield the activities of who was assigned to the account that day."""
    for act in acts:
        assert act.at is not None
        day = act.at.date()
        if any(
            row.user_id == act.by_id
            and row.organisation_id == act.organisation_id
            and (row.valid_from is None or row.valid_from <= day)
            for row in assigned
        ):
            yield portfolio.Action(str(act.organisation_id), day)


def readable(rows: list[ka.Contract]) -> list[ka.Contract]:
    """Return what volker reads: not the private account's contracts, nor that others name them."""
    there = {row.id for row in rows if row.organisation_id != HIDDEN}
    return [
        attrs.evolve(row, predecessor_ids=tuple(id for id in row.predecessor_ids if id in there))
        for row in rows
        if row.id in there
    ]


@settings(max_examples=25, deadline=None)
@given(rows=portfolios(), told=ACTS)
def test_memory_sqlite_and_functions_agree(rows: list[ka.Contract], told: list[tuple[str, str, int]]) -> None:
    """Every call gives the same from memory, from SQLite and as a plain function, trusted and bound."""
    begun = datetime(2024, 10, 1, 12, tzinfo=UTC).timestamp()
    acts = [
        ka.Activity(f"y{n}", account, kind="call", by_id=by, at=datetime.fromtimestamp(begun + days * 86_400, UTC))
        for n, (account, by, days) in enumerate(told)
    ]
    plain = by_functions(rows, acts, ALL)
    masked = by_functions(readable(rows), acts, [id for id in ALL if id != HIDDEN])
    with tempfile.TemporaryDirectory() as folder:
        for path in (None, str(Path(folder) / "book.db")):
            with opened(path, rows, acts) as book:
                for desk, expected in ((book.trusted("test"), plain), (book.desk("volker"), masked)):
                    for answer, own in zip(by_desk(desk), expected, strict=True):
                        assert told_alike(answer) == told_alike(own)


def told_alike(answer: Any) -> Any:
    """Tell an answer in text, whose order of records is that of the contracts: by account, or as they were given."""
    if isinstance(answer, ka.Figure):
        sides = (answer.records.numerator, answer.records.denominator)
        parts = [told_alike(part) for part in answer.parts or ()]
        values = (answer.value, answer.numerator, answer.denominator, answer.reason, answer.part, answer.provisional)
        return values, [sorted(side) for side in sides], sorted(answer.excluded), answer.beside, parts
    return [told_alike(one) for one in answer] if isinstance(answer, list) else repr(answer)
