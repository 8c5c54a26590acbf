"""The health check shows itself: text for a terminal, HTML for a notebook, plain data; the same facts in each."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from typing import Any

import attrs
import pytest

import keyaccount as ka
from keyaccount import health, portfolio
from keyaccount.actions import KINDS
from keyaccount.health import SIGNALS, HealthRow
from keyaccount.health_text import daily_text, health_text

ON = date(2026, 11, 21)
NASTY = "<script>alert('x')</script> & \"ACME\" \u202e"
FACTS: dict[str, Any] = {
    "invoices": [
        ka.Invoice(
            "i", organisation_id="acme", issued_on=date(2026, 3, 1), due_on=ON, net=ka.Money("1234567.89", "EUR")
        ),
        ka.Invoice(
            "j", organisation_id="acme", issued_on=date(2026, 3, 1), due_on=date(2026, 4, 1), net=ka.Money("0.5", "EUR")
        ),
        ka.Invoice("k", organisation_id="globex", issued_on=date(2026, 3, 1), net=ka.Money(7, "USD")),
    ],
    "orders": [
        ka.Order(
            "p", organisation_id="acme", ordered_on=date(2026, 9, 1), lines=(ka.Line(unit_price=ka.Money(9, "EUR")),)
        ),
    ],
    "contracts": [
        ka.Contract(
            "c",
            organisation_id="acme",
            number=NASTY,
            signed_on=date(2026, 1, 1),
            starts_on=date(2026, 1, 1),
            ends_on=date(2027, 1, 12),
        ),
        ka.Contract(
            "d",
            organisation_id="globex",
            signed_on=date(2025, 1, 1),
            starts_on=date(2025, 1, 1),
            ends_on=date(2026, 11, 1),
        ),
    ],
    "opportunities": [
        ka.Opportunity("o", organisation_id="acme", title=NASTY, kind="upsell", value=ka.Money(5, "EUR"))
    ],
    "activities": [
        ka.Activity(
            "m",
            organisation_id="acme",
            kind="meeting",
            subject=NASTY + " long" * 40,
            at=datetime(2026, 10, 1, 12, tzinfo=UTC),
            by_id="volker",
            follow_up_on=date(2026, 11, 12),
        )
    ],
}
KNOWN = portfolio.Accounts.of(
    [ka.Organisation("acme", name="<b>ACME</b> & Co"), ka.Organisation("idle", name="Idle" * 40)]
)
CHECK = health.health_check(on=ON, accounts=KNOWN, by="manager", **FACTS)


class Page(HTMLParser):
    """Collects the tags, the attributes and the text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.append(tag)
        self.attributes += attributes

    def handle_data(self, data: str) -> None:
        """Note text."""
        self.text.append(data)


def page() -> Page:
    """Read the notebook form of the check."""
    found = Page()
    found.feed(CHECK._repr_html_())
    return found


def test_the_notebook_form_is_escaped_and_loads_nothing() -> None:
    """Stored text is a text node; there is no tag but those of one table, no address, no script, nothing to load."""
    found = page()
    assert set(found.tags) <= {"style", "table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td", "br"}
    assert {name for name, _ in found.attributes} <= {"class", "title"}
    assert "<b>ACME</b> & Co" in "".join(found.text)
    assert not re.search(r"https?:|url\(|@import|src=|href=", CHECK._repr_html_())


def test_the_notebook_form_suits_light_and_dark() -> None:
    """Colours are inherited or see-through, so that the page's own shine through, in either scheme."""
    style = CHECK._repr_html_().partition("</style>")[0]
    assert "prefers-color-scheme:dark" in style
    assert "color:inherit" in style
    assert not re.search(r"#[0-9a-f]{3}|white;|black", style)


def test_the_notebook_form_tells_the_facts() -> None:
    """Amounts, alerts, steps and the foot stand in the table."""
    text = " ".join(page().text)
    for fact in ("1,234,568.39 EUR", "7.00 USD", "-100 %", "0.50 EUR", "first year", "51 days ago", "3 accounts"):
        assert fact in text, fact


def test_the_text_has_at_most_100_columns_and_no_control_characters() -> None:
    """Whatever names and subjects hold, lines stay within a terminal and nothing acts on it."""
    for text in (
        health_text(CHECK),
        daily_text(health.daily(on=ON, **{k: FACTS[k] for k in FACTS if k[0] in "ia" or k == "opportunities"})),
    ):
        assert max(map(len, text.splitlines())) <= 100
        assert all(character.isprintable() or character == "\n" for character in text)


def test_the_text_tells_the_facts() -> None:
    """Every signal is told, each step is numbered, the foot comes last."""
    text = " ".join(health_text(CHECK).split())
    for fact in (
        "1,234,568.39 EUR in 12 months",
        "orders -100 % against the month before (alert)",
        "c ends 2027-01-12, 52 days left, no action",
        "d ended 2026-11-01, not renewed (in grace)",
        "overdue 0.50 EUR, the oldest for 234 days (j)",
        "1 open: 5.00 EUR, weighted nothing",
        "contact 51 days ago (2026-10-01): meeting by volker",
        "broken promises 2026-11-12",
        "to do 1. start renewal of",
        "1,234,568.39 EUR and 7.00 USD in 12 months (nothing before)",
    ):
        assert fact in text, fact
    assert text.index("All: 3 accounts") > text.index("none: 3 accounts")


def test_the_same_facts_as_plain_data() -> None:
    """`to_dict()` holds rows, totals, parts and windows, and goes through JSON."""
    told = json.loads(json.dumps(CHECK.to_dict(), allow_nan=False))
    assert [row["organisation_id"] for row in told["rows"]] == ["acme", "globex", "idle"]
    assert told["totals"]["invoiced"] == [
        {"amount": "1234568.39", "currency": "EUR"},
        {"amount": "7.00", "currency": "USD"},
    ]
    assert told["windows"]["last month"] == {"start": "2026-10-01", "end": "2026-11-01"}
    assert [step["kind"] for step in told["rows"][0]["to_do"]] == [
        "renewal",
        "promise",
        "payment",
        "decline",
        "opportunity",
    ]


def test_every_field_of_a_row_belongs_to_a_signal() -> None:
    """A field that no signal fills would be told where nobody asked."""
    always = {"organisation_id", "name", "signals", "parts", "to_do"}
    fields = {field.name for field in attrs.fields(HealthRow)}
    assert fields == always | {field for names in SIGNALS.values() for field in names}


@pytest.mark.parametrize("signal", SIGNALS)
def test_an_absent_signal_leaves_no_trace(signal: str) -> None:
    """Without its records a signal is in no row, in no text and in no column."""
    needs = {
        "invoiced": "invoices",
        "overdue": "invoices",
        "decline": "orders",
        "contracts": "contracts",
        "opportunities": "opportunities",
        "contact": "activities",
        "promises": "activities",
    }
    given = {name: rows for name, rows in FACTS.items() if name != needs[signal]}
    check = health.health_check(on=ON, accounts=KNOWN, **given)
    assert signal not in check.signals
    for row in check:
        assert not set(row.to_dict()) & set(SIGNALS[signal])
    kinds = {step.kind for row in check for step in row.to_do}
    absent = {"overdue": "payment", "decline": "decline", "contracts": "renewal", "promises": "promise"}
    assert absent.get(signal) not in kinds
    assert check._repr_html_()
    assert health_text(check)


def test_steps_come_in_their_rank() -> None:
    """What is to be done stands in the order of its sorts, in every row, each with its evidence."""
    for row in CHECK:
        ranks = [KINDS.index(step.kind) for step in row.to_do]
        assert ranks == sorted(ranks)
        assert all(step.evidence for step in row.to_do)


def test_a_row_is_found_by_its_account() -> None:
    """`row` finds an account's row, and refuses one that has none."""
    assert CHECK.row("globex").expired[0].contract_id == "d"
    with pytest.raises(ka.ValidationError, match="nobody"):
        CHECK.row("nobody")


def test_thousands_of_accounts_take_little_time() -> None:
    """Rows cost what their facts cost: the work grows with accounts and documents, not with their product."""
    count = 3_000
    bills = (
        ka.Invoice(f"i{n}", organisation_id=f"a{n}", issued_on=date(2026, 3, 1), net=ka.Money(n, "EUR"))
        for n in range(count)
    )
    started = datetime.now(UTC)
    assert len(health.health_check(on=ON, invoices=bills)) == count
    assert (datetime.now(UTC) - started).total_seconds() < 20
